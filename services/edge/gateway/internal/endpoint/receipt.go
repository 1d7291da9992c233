package endpoint

import (
	"net/http"
	"strconv"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/ratelimit"

	billingv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/billing/v1"
	cachev1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/cache/v1"
	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

var cacheNames = map[routerv1.CacheStatus]string{
	routerv1.CacheStatus_CACHE_STATUS_MISS:         "miss",
	routerv1.CacheStatus_CACHE_STATUS_EXACT_HIT:    "exact-hit",
	routerv1.CacheStatus_CACHE_STATUS_SEMANTIC_HIT: "semantic-hit",
	routerv1.CacheStatus_CACHE_STATUS_BYPASS:       "bypass",
}

var cacheTiers = map[cachev1.CacheTier]string{
	cachev1.CacheTier_CACHE_TIER_L1: "L1",
	cachev1.CacheTier_CACHE_TIER_L2: "L2",
	cachev1.CacheTier_CACHE_TIER_L3: "L3",
	cachev1.CacheTier_CACHE_TIER_L4: "L4",
}

var rateUnits = map[billingv1.LimitUnit]string{
	billingv1.LimitUnit_LIMIT_UNIT_REQUESTS: "requests",
	billingv1.LimitUnit_LIMIT_UNIT_TOKENS:   "tokens",
}

// writeJSON answers with a body, and with its cost, what the cache did and what is left of rates in headers.
func writeJSON(w http.ResponseWriter, body []byte, receipt *routerv1.Receipt) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if receipt != nil {
		header.Set("X-Penstock-Cost-Nanos", strconv.FormatInt(receipt.GetCostNanos(), 10))
		if name := cacheNames[receipt.GetCache()]; name != "" {
			header.Set("X-Penstock-Cache", name)
		}
		if tier := cacheTiers[receipt.GetCacheTier()]; tier != "" {
			header.Set("Age", strconv.FormatUint(uint64(receipt.GetCacheAgeSeconds()), 10))
			header.Set("X-Penstock-Cache-Tier", tier)
			header.Set("X-Penstock-Cache-Similarity", strconv.FormatFloat(receipt.GetCacheSimilarity(), 'f', 3, 64))
			header.Set("X-Penstock-Avoided-Cost-Nanos", strconv.FormatInt(receipt.GetAvoidedCostNanos(), 10))
		}
	}
	writeRates(header, receipt.GetRateLimits())
	_, _ = w.Write(body) // the caller may be gone: nobody to tell
}

func writeRates(header http.Header, rates []*billingv1.RateLimit) {
	for _, rate := range rates {
		ratelimit.Rate{
			Unit: rateUnits[rate.GetUnit()], Value: rate.GetValue(), Remaining: rate.GetRemaining(), Reset: rate.GetResetAfter().AsDuration(),
		}.Write(header)
	}
}
