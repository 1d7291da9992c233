package server_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fakerouter"

	billingv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/billing/v1"
	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

const texts = "/v1/completions"

func TestTextsAreContinuedWithAReceiptBesides(t *testing.T) {
	g := start(t, &fakerouter.Router{Text: func(p *routerv1.CompletionParameters) (*routerv1.Completion, error) {
		return &routerv1.Completion{
			Id: "cmpl-1", Model: p.GetModel(),
			Choices: []*routerv1.CompletionChoice{{Text: p.GetPrompts()[0].GetText() + "!"}},
			Receipt: &routerv1.Receipt{RequestId: "r1", CostNanos: 7, Cache: routerv1.CacheStatus_CACHE_STATUS_BYPASS},
		}, nil
	}})
	a := g.post(t, texts, `{"model":"m","prompt":"Hi"}`)
	choice := a.object(t)["choices"].([]any)[0].(map[string]any)
	if a.code != 200 || choice["text"] != "Hi!" || a.header.Get("X-Penstock-Cost-Nanos") != "7" {
		t.Errorf("%d %v %s", a.code, a.header, a.body)
	}
}

func TestAStreamOfTextThatBreaksEndsWithAnErrorAndWithoutDone(t *testing.T) {
	g := start(t, &fakerouter.Router{Texts: func(_ *routerv1.CompletionParameters, stream fakerouter.TextStream) error {
		part := &routerv1.Completion{
			Choices:    []*routerv1.CompletionChoice{{Text: "Hel"}},
			RateLimits: []*billingv1.RateLimit{{Unit: billingv1.LimitUnit_LIMIT_UNIT_TOKENS, Value: 60, Remaining: 59}},
		}
		if err := stream.Send(&routerv1.StreamCompletionResponse{Part: part}); err != nil {
			return err
		}
		return fakerouter.Error(codes.Unavailable, "STREAM_INTERRUPTED", "It broke off.")
	}})
	a := g.post(t, texts, `{"model":"m","prompt":"Hi","stream":true}`)
	if got := a.header.Get("x-ratelimit-remaining-tokens"); got != "59" {
		t.Errorf("59 tokens are left, %q are said to be", got)
	}
	events := a.events(t)
	if len(events) != 2 || !strings.Contains(events[0], `"text":"Hel"`) || !strings.Contains(events[1], "STREAM_INTERRUPTED") {
		t.Errorf("events %q", events)
	}
}

func TestTextsThatAreRefusedBeforeTheirFirstPartHaveTheTrueCode(t *testing.T) {
	g := start(t, &fakerouter.Router{Texts: func(*routerv1.CompletionParameters, fakerouter.TextStream) error {
		return fakerouter.Error(codes.ResourceExhausted, "BUDGET_EXCEEDED", "Used up.")
	}})
	a := g.post(t, texts, `{"model":"m","prompt":"Hi","stream":true}`)
	if a.code != 429 || a.fault(t)["reason"] != "BUDGET_EXCEEDED" {
		t.Errorf("%d %s", a.code, a.body)
	}
}
