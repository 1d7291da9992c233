package server_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fakerouter"

	billingv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/billing/v1"
	cachev1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/cache/v1"
	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// echo answers with the text of the last message.
func echo(_ context.Context, p *routerv1.ChatCompletionParameters) (*routerv1.ChatCompletion, error) {
	text := p.GetMessages()[len(p.GetMessages())-1].GetText()
	return &routerv1.ChatCompletion{
		Id: "chatcmpl-1", Created: 7, Model: p.GetModel(),
		Choices: []*routerv1.ChatChoice{{
			Message: &routerv1.ChatMessage{
				Role: routerv1.ChatRole_CHAT_ROLE_ASSISTANT, Content: &routerv1.ChatMessage_Text{Text: text},
			},
			FinishReason: routerv1.FinishReason_FINISH_REASON_STOP,
		}},
		Usage:   &routerv1.Usage{PromptTokens: 3, CompletionTokens: 2, TotalTokens: 5},
		Receipt: &routerv1.Receipt{RequestId: "r1", CostNanos: 1200, Cache: routerv1.CacheStatus_CACHE_STATUS_EXACT_HIT},
	}, nil
}

func TestAnAnswerIsOpenAIsWithAReceiptBesides(t *testing.T) {
	g := start(t, &fakerouter.Router{Chat: echo})
	a := g.post(t, "/v1/chat/completions", hello)
	if a.code != 200 {
		t.Fatalf("code %d: %s", a.code, a.body)
	}
	completion := a.object(t)
	choice := completion["choices"].([]any)[0].(map[string]any)
	if got := choice["message"].(map[string]any)["content"]; got != "Hello" {
		t.Errorf("content %q", got)
	}
	if choice["finish_reason"] != "stop" || completion["object"] != "chat.completion" || completion["created"] != 7.0 {
		t.Errorf("completion %s", a.body)
	}
	if cost := completion["penstock"].(map[string]any)["cost_nanos"]; cost != "1200" {
		t.Errorf("cost %v, want the string 1200", cost)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "X-Penstock-Cost-Nanos": "1200", "X-Penstock-Cache": "exact-hit",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestWhatIsLeftOfTheCallersRatesIsInHeadersOfOpenAIsNames(t *testing.T) {
	rates := []*billingv1.RateLimit{
		{Unit: billingv1.LimitUnit_LIMIT_UNIT_REQUESTS, Value: 60, Remaining: 59, ResetAfter: durationpb.New(time.Second)},
		{Unit: billingv1.LimitUnit_LIMIT_UNIT_TOKENS, Value: 5000, Remaining: 4000, ResetAfter: durationpb.New(72 * time.Second)},
	}
	g := start(t, &fakerouter.Router{
		Chat: func(ctx context.Context, p *routerv1.ChatCompletionParameters) (*routerv1.ChatCompletion, error) {
			completion, err := echo(ctx, p)
			completion.Receipt.RateLimits = rates
			return completion, err
		},
		Stream: func(_ *routerv1.ChatCompletionParameters, stream fakerouter.Stream) error {
			first := chunk(&routerv1.ChatChoiceDelta{Content: "Hello"})
			first.Chunk.RateLimits = rates
			return stream.Send(first)
		},
	})
	for _, body := range []string{hello, streamed} {
		a := g.post(t, "/v1/chat/completions", body)
		for name, want := range map[string]string{
			"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59", "x-ratelimit-reset-requests": "1s",
			"x-ratelimit-limit-tokens": "5000", "x-ratelimit-remaining-tokens": "4000", "x-ratelimit-reset-tokens": "1m12s",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	}
}

func TestAnAnswerFromTheCacheSaysWhereItWasHowOldItIsAndWhatItSaved(t *testing.T) {
	g := start(t, &fakerouter.Router{
		Chat: func(ctx context.Context, p *routerv1.ChatCompletionParameters) (*routerv1.ChatCompletion, error) {
			completion, err := echo(ctx, p)
			completion.Receipt = &routerv1.Receipt{
				Cache: routerv1.CacheStatus_CACHE_STATUS_SEMANTIC_HIT, CacheTier: cachev1.CacheTier_CACHE_TIER_L3,
				CacheAgeSeconds: 7, CacheSimilarity: 0.9571, AvoidedCostNanos: 6812,
			}
			return completion, err
		},
	})
	a := g.post(t, "/v1/chat/completions", hello)
	for name, want := range map[string]string{
		"X-Penstock-Cache": "semantic-hit", "X-Penstock-Cache-Tier": "L3", "Age": "7",
		"X-Penstock-Cache-Similarity": "0.957", "X-Penstock-Avoided-Cost-Nanos": "6812",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestTheHeaderThatEveryClientKnowsForbidsTheCacheToo(t *testing.T) {
	for header, want := range map[string]*routerv1.CacheControl{
		"no-store":                   {NoStore: true},
		"No-Cache, max-age=60":       {NoCache: true, MaxAgeSeconds: 60},
		"max-age=0":                  {NoCache: true},
		`max-age="9"`:                {MaxAgeSeconds: 9},
		"max-age=soon, no-transform": {},
	} {
		asked := make(chan *routerv1.CacheControl, 1)
		g := start(t, &fakerouter.Router{
			Chat: func(ctx context.Context, p *routerv1.ChatCompletionParameters) (*routerv1.ChatCompletion, error) {
				asked <- p.GetCacheControl()
				return echo(ctx, p)
			},
		})
		g.post(t, "/v1/chat/completions", hello, "Cache-Control", header)
		if got := <-asked; !proto.Equal(got, want) {
			t.Errorf("%s asks for %v, want %v", header, got, want)
		}
	}
}

func TestTheCallersNamesKeyAndDeadlineTravelToTheRouter(t *testing.T) {
	router := &fakerouter.Router{Chat: echo}
	trace := "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	a := start(t, router).post(t, "/v1/chat/completions", hello,
		"Authorization", "Bearer psk_1", "X-Request-Id", "r-17", "Traceparent", trace, "Tracestate", "a=b",
		"Idempotency-Key", "k", "X-Request-Timeout-Ms", "60000", "X-Unrelated", "no")
	seen, deadline, _ := router.Seen()
	for name, want := range map[string]string{
		"authorization": "Bearer psk_1", "x-request-id": "r-17", "traceparent": trace, "tracestate": "a=b",
		"idempotency-key": "k", "x-unrelated": "",
	} {
		if got := append(seen.Get(name), "")[0]; got != want || len(seen.Get(name)) > 1 {
			t.Errorf("metadata %s is %q, want %q", name, seen.Get(name), want)
		}
	}
	if left := time.Until(deadline); left <= 0 || left > time.Minute {
		t.Errorf("deadline in %v, want within 60 s", left)
	}
	if a.header.Get("X-Request-Id") != "r-17" || a.header.Get("X-Trace-Id") != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Errorf("names in the response: %v", a.header)
	}
}

func TestARequestWithoutNamesGetsThem(t *testing.T) {
	router := &fakerouter.Router{Chat: echo}
	a := start(t, router).post(t, "/v1/chat/completions", hello, "X-Request-Id", "not one word", "Traceparent", "00-zz")
	seen, _, _ := router.Seen()
	id, trace := seen.Get("x-request-id")[0], seen.Get("traceparent")[0]
	if len(id) != 36 || a.header.Get("X-Request-Id") != id {
		t.Errorf("request id %q, in the response %q", id, a.header.Get("X-Request-Id"))
	}
	if len(trace) != 55 || a.header.Get("X-Trace-Id") != trace[3:35] {
		t.Errorf("traceparent %q, in the response %q", trace, a.header.Get("X-Trace-Id"))
	}
}

func TestADeadlineThatIsNoNumberIsRefused(t *testing.T) {
	g := start(t, &fakerouter.Router{Chat: echo})
	for header, value := range map[string]string{"X-Request-Timeout-Ms": "soon", "Grpc-Timeout": "5"} {
		a := g.post(t, "/v1/chat/completions", hello, header, value)
		if a.code != 400 || a.fault(t)["reason"] != "INVALID_ARGUMENT" {
			t.Errorf("%s: %d %s", header, a.code, a.body)
		}
	}
}

func TestADeadlineThatPassesIsA504(t *testing.T) {
	g := start(t, &fakerouter.Router{
		Chat: func(ctx context.Context, _ *routerv1.ChatCompletionParameters) (*routerv1.ChatCompletion, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	})
	a := g.post(t, "/v1/chat/completions", hello, "Grpc-Timeout", "50m")
	if a.code != 504 || a.fault(t)["reason"] != "DEADLINE_EXCEEDED" {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestACallerThatHangsUpEndsTheCall(t *testing.T) {
	ended := make(chan struct{})
	begun := make(chan struct{})
	g := start(t, &fakerouter.Router{
		Chat: func(ctx context.Context, _ *routerv1.ChatCompletionParameters) (*routerv1.ChatCompletion, error) {
			close(begun)
			<-ctx.Done()
			close(ended)
			return nil, ctx.Err()
		},
	})
	hangUp := g.postAndHangUp(t, hello)
	<-begun
	hangUp()
	within(t, ended, "the call was not cancelled")
}
