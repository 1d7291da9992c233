package endpoint

import (
	"net/http"
	"strconv"
	"strings"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// heedCacheControl lets the header that every HTTP client knows (RFC 9111) forbid what the body's cache_control allows:
// no-cache, no-store and max-age. What is stricter holds; other directives say nothing about an answer of ours.
func heedCacheControl(p *routerv1.ChatCompletionParameters, header http.Header) {
	for _, line := range header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(strings.ToLower(line), ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			heedDirective(p, name, strings.Trim(value, `"`))
		}
	}
}

func heedDirective(p *routerv1.ChatCompletionParameters, name, value string) {
	if p.CacheControl == nil {
		p.CacheControl = &routerv1.CacheControl{}
	}
	control := p.GetCacheControl()
	switch name {
	case "no-cache":
		control.NoCache = true
	case "no-store":
		control.NoStore = true
	case "max-age":
		seconds, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return // RFC 9111, 4.2.1: what cannot be read is taken for nothing
		}
		if seconds == 0 {
			control.NoCache = true
		} else if most := control.GetMaxAgeSeconds(); most == 0 || uint32(seconds) < most {
			control.MaxAgeSeconds = uint32(seconds)
		}
	}
}
