package openai

import (
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

func TestEachFormOfEachMemberOfACompletionIsRead(t *testing.T) {
	for json, want := range map[string]string{
		`{}`: ``,
		`{"model":"m","prompt":null,"suffix":null,"best_of":null,"x":null}`: `model:"m"`,
		`{"prompt":"a"}`:         `prompts:{text:"a"}`,
		`{"prompt":["a","b"]}`:   `prompts:{text:"a"} prompts:{text:"b"}`,
		`{"prompt":[1,2]}`:       `prompts:{tokens:{ids:1 ids:2}}`,
		`{"prompt":[[1,2],[3]]}`: `prompts:{tokens:{ids:1 ids:2}} prompts:{tokens:{ids:3}}`,
		`{"max_tokens":0,"n":2,"logprobs":0,"echo":true,"stop":"a","user":"u","priority":3}`: `
			max_tokens:0 n:2 logprobs:0 echo:true stop:"a" user:"u" priority:3`,
		`{"temperature":0,"top_p":0.5,"presence_penalty":-2,"frequency_penalty":1,"seed":7,"logit_bias":{"5":-1}}`: `
			temperature:0 top_p:0.5 presence_penalty:-2 frequency_penalty:1 seed:7 logit_bias:{key:5 value:-1}`,
		`{"top_k":4,"min_p":0.1,"repetition_penalty":1.1,"min_tokens":3,"ignore_eos":true}`: `
			top_k:4 min_p:0.1 repetition_penalty:1.1 min_tokens:3 ignore_eos:true`,
		`{"stream_options":{"include_usage":true}}`:  `stream_options:{include_usage:true}`,
		`{"structured_outputs":{"choice":["a"]}}`:    `response_format:{choice:{choices:"a"}}`,
		`{"response_format":{"type":"json_object"}}`: `response_format:{json_object:{}}`,
	} {
		got, err := DecodeTextRequest([]byte(json))
		if err != nil {
			t.Errorf("%s: %v", json, err)
			continue
		}
		wanted := &routerv1.CompletionParameters{}
		if err := prototext.Unmarshal([]byte(want), wanted); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got.Parameters, wanted) {
			t.Errorf("%s\n gives %v\n want  %v", json, got.Parameters, wanted)
		}
	}
}

func TestWhatIsNoCompletionIsRefusedByItsMember(t *testing.T) {
	for json, want := range map[string]struct{ reason, param string }{
		`{"prompt":{}}`:        {"MALFORMED_REQUEST", "prompt"},
		`{"prompt":["a",1]}`:   {"MALFORMED_REQUEST", "prompt[1]"},
		`{"prompt":[1,"a"]}`:   {"MALFORMED_REQUEST", "prompt[1]"},
		`{"prompt":[[1,"a"]]}`: {"MALFORMED_REQUEST", "prompt[0][1]"},
		`{"prompt":[-1]}`:      {"INVALID_ARGUMENT", "prompt[0]"},
		`{"logprobs":true}`:    {"MALFORMED_REQUEST", "logprobs"},
		`{"best_of":2}`:        {"UNSUPPORTED_FEATURE", "best_of"},
		`{"suffix":"a"}`:       {"UNSUPPORTED_FEATURE", "suffix"},
		`{"messages":[]}`:      {"UNSUPPORTED_FEATURE", "messages"},
	} {
		_, err := DecodeTextRequest([]byte(json))
		f, ok := err.(*fault.Fault)
		if !ok || f.Reason != want.reason || f.Param != want.param {
			t.Errorf("%s gives %+v, want %+v", json, err, want)
		}
	}
}

func TestACompletionIsWrittenAsOpenAIs(t *testing.T) {
	nan := float32(math.NaN())
	top := []*routerv1.TokenLogprob{{Token: "a", Logprob: -1}, {Token: "\ufffd", Logprob: -2}, {Token: "\ufffd", Logprob: -3}}
	completion := &routerv1.Completion{
		Id: "cmpl-1", Created: 7, Model: "m",
		Choices: []*routerv1.CompletionChoice{
			{Text: "né!", FinishReason: routerv1.FinishReason_FINISH_REASON_LENGTH, Logprobs: []*routerv1.TokenLogprob{
				{Token: "n", Utf8: []byte("n"), Logprob: nan},
				{Token: "\ufffd", Utf8: []byte("\xc3"), Logprob: -0.5, Top: top},
				{Token: "\ufffd", Utf8: []byte("\xa9"), Logprob: -0.25},
				{Token: "!", Utf8: []byte("!"), Logprob: -0.125},
			}},
			{Index: 1, Text: "b"},
		},
		Usage: &routerv1.Usage{PromptTokens: 1, CompletionTokens: 2, TotalTokens: 3},
	}
	want := `{"id":"cmpl-1","object":"text_completion","created":7,"model":"m","system_fingerprint":null,"choices":[` +
		`{"index":0,"text":"né!","logprobs":{` +
		`"tokens":["n","�","�","!"],"token_logprobs":[null,-0.5,-0.25,-0.125],` +
		`"top_logprobs":[null,{"a":-1,"�":-2},{},{}],"text_offset":[0,1,1,2]},"finish_reason":"length"},` +
		`{"index":1,"text":"b","logprobs":null,"finish_reason":null}],` +
		`"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,` +
		`"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}}`
	sameJSON(t, AppendText(nil, completion, false), want)
}

func TestAPartOfAStreamSaysThatUsageIsStillToCome(t *testing.T) {
	part := &routerv1.Completion{Choices: []*routerv1.CompletionChoice{{Text: "a"}}}
	if got := string(AppendText(nil, part, true)); !strings.Contains(got, `"usage":null`) {
		t.Errorf("got %s", got)
	}
	if got := string(AppendText(nil, part, false)); strings.Contains(got, `"usage"`) {
		t.Errorf("got %s", got)
	}
}
