package openai

import (
	"encoding/json"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

func TestEachFormOfInputIsRead(t *testing.T) {
	for json, want := range map[string]string{
		`{"model":"m","input":"a","user":"u","dimensions":64}`: `model:"m" inputs:{text:"a"} user:"u" dimensions:64`,
		`{"input":["a","b"]}`:        `inputs:{text:"a"} inputs:{text:"b"}`,
		`{"input":[1,2,3]}`:          `inputs:{tokens:{ids:1 ids:2 ids:3}}`,
		`{"input":[[1,2],[3]]}`:      `inputs:{tokens:{ids:1 ids:2}} inputs:{tokens:{ids:3}}`,
		`{"input":["a",[1]]}`:        `inputs:{text:"a"} inputs:{tokens:{ids:1}}`,
		`{"input":[]}`:               ``,
		`{"input":null,"else":null}`: ``,
	} {
		request, err := DecodeEmbeddingRequest([]byte(json))
		if err != nil {
			t.Errorf("%s: %v", json, err)
			continue
		}
		wanted := &routerv1.EmbeddingParameters{}
		if err := prototext.Unmarshal([]byte(want), wanted); err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		if !proto.Equal(request.Parameters, wanted) || request.Base64 {
			t.Errorf("%s\n is read as %v,\n want %v", json, request.Parameters, wanted)
		}
	}
}

func TestAWrongInputIsRefusedWithItsPath(t *testing.T) {
	for json, want := range map[string]struct{ reason, param string }{
		`{"input":7}`:                {"MALFORMED_REQUEST", "input"},
		`{"input":{}}`:               {"MALFORMED_REQUEST", "input"},
		`{"input":[true]}`:           {"MALFORMED_REQUEST", "input[0]"},
		`{"input":["a",1]}`:          {"MALFORMED_REQUEST", "input[1]"},
		`{"input":[1,"a"]}`:          {"MALFORMED_REQUEST", "input[1]"},
		`{"input":[1,-2]}`:           {"INVALID_ARGUMENT", "input[1]"},
		`{"input":[[1,"a"]]}`:        {"MALFORMED_REQUEST", "input[0][1]"},
		`{"encoding_format":"int8"}`: {"INVALID_ARGUMENT", "encoding_format"},
		`{"input":"a"} 1`:            {"MALFORMED_REQUEST", ""},
	} {
		_, err := DecodeEmbeddingRequest([]byte(json))
		f, ok := err.(*fault.Fault)
		if !ok || f.Reason != want.reason || f.Param != want.param {
			t.Errorf("%s gives %+v, want %+v", json, err, want)
		}
	}
}

func TestVectorsAreNumbersOrBase64AsAskedFor(t *testing.T) {
	list := &routerv1.EmbeddingList{
		Model: "m", Usage: &routerv1.Usage{PromptTokens: 2, TotalTokens: 2},
		Embeddings: []*routerv1.Embedding{{Values: []float32{1, -0.5, 1e-7}}, {Index: 1, Values: []float32{3.4e38}}},
	}
	want := `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1,-0.5,1e-07]},` +
		`{"object":"embedding","index":1,"embedding":[3.4e+38]}],"model":"m","usage":{"prompt_tokens":2,"total_tokens":2}}`
	if got := string(AppendEmbeddings(nil, list, false)); got != want || !json.Valid([]byte(got)) {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	if got := string(AppendEmbeddings(nil, list, true)); !strings.Contains(got, `"embedding":"AACAPwAAAL+Vv9Yz"`) {
		t.Errorf("base64 is %s", got)
	}
}
