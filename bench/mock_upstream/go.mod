module github.com/penstock-ai/penstock/bench/mock_upstream

go 1.26
