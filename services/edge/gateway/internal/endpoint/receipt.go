package endpoint

import (
	"net/http"
	"strconv"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

var cacheNames = map[routerv1.CacheStatus]string{
	routerv1.CacheStatus_CACHE_STATUS_MISS:         "miss",
	routerv1.CacheStatus_CACHE_STATUS_EXACT_HIT:    "exact-hit",
	routerv1.CacheStatus_CACHE_STATUS_SEMANTIC_HIT: "semantic-hit",
	routerv1.CacheStatus_CACHE_STATUS_BYPASS:       "bypass",
}

// writeJSON answers with a body, and with its cost and what the cache did in headers.
func writeJSON(w http.ResponseWriter, body []byte, receipt *routerv1.Receipt) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if receipt != nil {
		header.Set("X-Penstock-Cost-Nanos", strconv.FormatInt(receipt.GetCostNanos(), 10))
		if name := cacheNames[receipt.GetCache()]; name != "" {
			header.Set("X-Penstock-Cache", name)
		}
	}
	_, _ = w.Write(body) // the caller may be gone: nobody to tell
}
