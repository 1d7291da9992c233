package openai

import (
	"encoding/json"
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

func fromText[M proto.Message](t *testing.T, text string, message M) M {
	t.Helper()
	if err := prototext.Unmarshal([]byte(text), message); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return message
}

func sameJSON(t *testing.T, got []byte, want string) {
	t.Helper()
	if !json.Valid(got) || string(got) != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func TestACompletionSaysEverythingThatOpenAIsDoes(t *testing.T) {
	completion := fromText(t, `
		id:"chatcmpl-1" created:7 model:"m" system_fingerprint:"fp"
		choices:{message:{role:CHAT_ROLE_ASSISTANT text:"a\n\"b\""} finish_reason:FINISH_REASON_LENGTH
			logprobs:{token:"a" logprob:-0.25 utf8:"a" top:{token:"b" logprob:-1 utf8:"\xff"}}}
		choices:{index:1 message:{role:CHAT_ROLE_ASSISTANT tool_calls:{id:"c" function:{name:"f" arguments:"{}"}} tool_calls:{id:"d"}}
			finish_reason:FINISH_REASON_TOOL_CALLS}
		choices:{index:2 message:{role:CHAT_ROLE_ASSISTANT refusal:"no"} finish_reason:FINISH_REASON_CONTENT_FILTER}
		choices:{index:3 message:{role:CHAT_ROLE_ASSISTANT parts:{parts:{text:"a"} parts:{text:"b"}}}}
		usage:{prompt_tokens:1 completion_tokens:2 total_tokens:3 cached_prompt_tokens:4 reasoning_tokens:5}`,
		&routerv1.ChatCompletion{})
	sameJSON(t, AppendCompletion(nil, completion), `{"id":"chatcmpl-1","object":"chat.completion","created":7,"model":"m","choices":[`+
		`{"index":0,"message":{"role":"assistant","content":"a\n\"b\"","refusal":null},"logprobs":{"content":[`+
		`{"token":"a","logprob":-0.25,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-1,"bytes":[255]}]}],"refusal":null},`+
		`"finish_reason":"length"},`+
		`{"index":1,"message":{"role":"assistant","content":null,"refusal":null,"tool_calls":[`+
		`{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}},`+
		`{"id":"d","type":"function","function":{"name":"","arguments":""}}]},"logprobs":null,"finish_reason":"tool_calls"},`+
		`{"index":2,"message":{"role":"assistant","content":null,"refusal":"no"},"logprobs":null,"finish_reason":"content_filter"},`+
		`{"index":3,"message":{"role":"assistant","content":"ab","refusal":null},"logprobs":null,"finish_reason":null}],`+
		`"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,`+
		`"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":5}},"system_fingerprint":"fp"}`)
}

func TestAChunkSaysOnlyWhatIsNew(t *testing.T) {
	head := `{"id":"c","object":"chat.completion.chunk","created":7,"model":"m","system_fingerprint":null,"choices":[{"index":0,"delta":`
	for text, want := range map[string]string{
		`role:CHAT_ROLE_ASSISTANT`:                      `{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}`,
		`role:CHAT_ROLE_ASSISTANT content:"a"`:          `{"role":"assistant","content":"a"},"logprobs":null,"finish_reason":null}]}`,
		`content:"\t"`:                                  `{"content":"\t"},"logprobs":null,"finish_reason":null}]}`,
		`refusal:"no"`:                                  `{"refusal":"no"},"logprobs":null,"finish_reason":null}]}`,
		`finish_reason:FINISH_REASON_STOP`:              `{},"logprobs":null,"finish_reason":"stop"}]}`,
		`content:"a" logprobs:{token:"a" logprob:-inf}`: `{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-3.4028235e+38,"bytes":[],"top_logprobs":[]}],"refusal":null},"finish_reason":null}]}`,
		`tool_calls:{id:"c" name:"f"} tool_calls:{index:1 arguments:"{"}`: `{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}},` +
			`{"index":1,"function":{"arguments":"{"}}]},"logprobs":null,"finish_reason":null}]}`,
	} {
		delta := fromText(t, text, &routerv1.ChatChoiceDelta{})
		chunk := &routerv1.ChatCompletionChunk{Id: "c", Created: 7, Model: "m", Choices: []*routerv1.ChatChoiceDelta{delta}}
		sameJSON(t, AppendChunk(nil, chunk, false), head+want)
	}
}

func TestALogprobThatIsNoNumberIsNull(t *testing.T) {
	var w writer
	w.float(``, float32(math.NaN()))
	sameJSON(t, w, `null`)
}

func TestAReceiptHasAllItsFields(t *testing.T) {
	completion := AppendCompletion(nil, &routerv1.ChatCompletion{Receipt: &routerv1.Receipt{RequestId: "r"}})
	var read struct{ Penstock map[string]any }
	if err := json.Unmarshal(completion, &read); err != nil {
		t.Fatal(err)
	}
	fields := (&routerv1.Receipt{}).ProtoReflect().Descriptor().Fields()
	if len(read.Penstock) != fields.Len() {
		t.Errorf("%d of %d fields: %v", len(read.Penstock), fields.Len(), read.Penstock)
	}
	if read.Penstock["request_id"] != "r" || read.Penstock["cost_nanos"] != "0" {
		t.Errorf("receipt %v", read.Penstock)
	}
}

func BenchmarkAppendChunk(b *testing.B) {
	chunk := &routerv1.ChatCompletionChunk{
		Id: "chatcmpl-0190f0c4-0000-7000-8000-000000000000", Created: 1700000000, Model: "smollm2-135m-instruct",
		Choices: []*routerv1.ChatChoiceDelta{{Content: " penstock"}},
	}
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		buffer = AppendChunk(buffer[:0], chunk, false)
	}
}
