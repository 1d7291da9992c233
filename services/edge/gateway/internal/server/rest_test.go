package server_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fakerouter"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

func models() ([]*routerv1.Model, error) {
	return []*routerv1.Model{{Id: "m", Object: "model", Created: 7, OwnedBy: "us"}}, nil
}

func TestModelsAreListedAsOpenAIDoes(t *testing.T) {
	router := &fakerouter.Router{Models: models}
	a := start(t, router).do(t, "GET", "/v1/models", nil, "Authorization", "Bearer psk_1", "X-Request-Id", "r-1")
	list := a.object(t)
	model := list["data"].([]any)[0].(map[string]any)
	if a.code != 200 || list["object"] != "list" || model["id"] != "m" || model["created"] != 7.0 || model["owned_by"] != "us" {
		t.Errorf("%d %s", a.code, a.body)
	}
	seen, deadline, _ := router.Seen()
	if got := seen.Get("authorization"); len(got) != 1 || got[0] != "Bearer psk_1" || deadline.IsZero() {
		t.Errorf("authorization %v, deadline %v", got, deadline)
	}
	if got := seen.Get("x-request-id"); len(got) != 1 || got[0] != "r-1" || a.header.Get("X-Request-Id") != "r-1" {
		t.Errorf("request id %v", got)
	}
}

func TestAListIsThereEvenIfItIsEmpty(t *testing.T) {
	g := start(t, &fakerouter.Router{Models: func() ([]*routerv1.Model, error) { return nil, nil }})
	if a := g.get(t, "/v1/models"); !strings.Contains(strings.ReplaceAll(a.body, " ", ""), `"data":[]`) {
		t.Errorf("%s", a.body)
	}
}

func TestAModelsIdMayHoldSlashes(t *testing.T) {
	g := start(t, &fakerouter.Router{})
	for _, path := range []string{"/v1/models/openai/gpt-17", "/v1/models/openai%2Fgpt-17"} {
		if a := g.get(t, path); a.code != 200 || a.object(t)["id"] != "openai/gpt-17" {
			t.Errorf("%s: %d %s", path, a.code, a.body)
		}
	}
}

func TestAPatchChangesWhatItNames(t *testing.T) {
	router := &fakerouter.Router{}
	a := start(t, router).do(t, "PATCH", "/v1/organizations/acme/budgets/b1",
		strings.NewReader(`{"amount_nanos":"9007199254740993"}`))
	if a.code != 200 || a.object(t)["amount_nanos"] != "9007199254740993" {
		t.Fatalf("%d %s", a.code, a.body)
	}
	ask := router.UpdatedBudget()
	if ask.GetBudget().GetName() != "organizations/acme/budgets/b1" || ask.GetBudget().GetAmountNanos() != 9007199254740993 {
		t.Errorf("budget %v", ask.GetBudget())
	}
	if paths := ask.GetUpdateMask().GetPaths(); len(paths) != 1 || paths[0] != "amount_nanos" {
		t.Errorf("mask %v", paths)
	}
}

func TestErrorsOfTheTypedAPIHaveTheSameShape(t *testing.T) {
	g := start(t, &fakerouter.Router{Models: func() ([]*routerv1.Model, error) {
		return nil, fakerouter.Error(codes.Unauthenticated, "API_KEY_REVOKED", "The key is revoked.")
	}})
	a := g.get(t, "/v1/models")
	if a.code != 401 || a.fault(t)["reason"] != "API_KEY_REVOKED" || a.fault(t)["code"] != "invalid_api_key" {
		t.Errorf("%d %s", a.code, a.body)
	}
	a = g.get(t, "/v1/models?page_size=many")
	if a.code != 400 || a.fault(t)["type"] != "invalid_request_error" {
		t.Errorf("%d %s", a.code, a.body)
	}
	a = g.do(t, "PATCH", "/v1/organizations/acme/budgets/b1", strings.NewReader(`{"amount_nanos":[]}`))
	if a.code != 400 || a.fault(t)["reason"] != "MALFORMED_REQUEST" {
		t.Errorf("%d %s", a.code, a.body)
	}
}

func TestAPathThatDoesNotExistIs404AndAMethod405WithAllow(t *testing.T) {
	g := start(t, &fakerouter.Router{})
	for _, c := range []struct {
		method, path  string
		code          int
		reason, allow string
	}{
		{"POST", "/v1/chat/complete", 404, "METHOD_NOT_FOUND", ""},
		{"GET", "/nothing", 404, "METHOD_NOT_FOUND", ""},
		{"GET", "/v1/organizations/acme/nothing", 404, "METHOD_NOT_FOUND", ""},
		{"GET", "/v1/chat/completions", 405, "METHOD_NOT_ALLOWED", "POST"},
		{"PUT", "/v1/embeddings", 405, "METHOD_NOT_ALLOWED", "POST"},
		{"DELETE", "/v1/models", 405, "METHOD_NOT_ALLOWED", "GET"},
		{"PUT", "/v1/organizations/acme/budgets", 405, "METHOD_NOT_ALLOWED", "GET, POST"},
		{"POST", "/v1/organizations/acme/budgets/b", 405, "METHOD_NOT_ALLOWED", "GET, PATCH, DELETE"},
		{"POST", "/healthz", 405, "METHOD_NOT_ALLOWED", "GET"},
	} {
		a := g.do(t, c.method, c.path, nil)
		if a.code != c.code || a.fault(t)["reason"] != c.reason || a.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d %q %s", c.method, c.path, a.code, a.header.Get("Allow"), a.body)
		}
	}
}

func TestAReadIsTriedAgainWhenTheRouterIsUnavailable(t *testing.T) {
	tries := 0
	router := &fakerouter.Router{Models: func() ([]*routerv1.Model, error) {
		if tries++; tries < 3 {
			return nil, fakerouter.Error(codes.Unavailable, "DRAINING", "Stopping.")
		}
		return models()
	}}
	if a := start(t, router).get(t, "/v1/models"); a.code != 200 || tries != 3 {
		t.Errorf("%d after %d tries", a.code, tries)
	}
}

func TestWhatMayCostMoneyIsNeverTriedAgain(t *testing.T) {
	router := &fakerouter.Router{Embed: func(*routerv1.EmbeddingParameters) (*routerv1.EmbeddingList, error) {
		return nil, fakerouter.Error(codes.Unavailable, "DRAINING", "Stopping.")
	}}
	a := start(t, router).post(t, "/v1/embeddings", `{"model":"m","input":"a"}`)
	if _, _, calls := router.Seen(); a.code != 503 || calls != 1 {
		t.Errorf("%d after %d calls", a.code, calls)
	}
}
