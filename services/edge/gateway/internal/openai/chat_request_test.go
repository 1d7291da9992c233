package openai

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// Each JSON text is read into the message that the prototext beside it says.
func TestEachFormOfEachMemberIsRead(t *testing.T) {
	for json, want := range map[string]string{
		`{}`: ``,
		`{"model":"m","unknown":null,"store":{"a":[]},"service_tier":"auto","prompt_cache_key":"k"}`: `model:"m"`,
		`{"model":null,"n":null,"stop":null,"messages":null}`:                                        ``,

		// content: a string, parts, null
		`{"messages":[{"role":"user","content":"a \"b\" \u00e9\ud83d\ude00"}]}`: `messages:{role:CHAT_ROLE_USER text:"a \"b\" é😀"}`,
		`{"messages":[{"role":"assistant","content":null,"refusal":"no"}]}`:     `messages:{role:CHAT_ROLE_ASSISTANT refusal:"no"}`,
		`{"messages":[{"content":"","role":"system","name":"n"}]}`:              `messages:{role:CHAT_ROLE_SYSTEM text:"" name:"n"}`,
		`{"messages":[{"role":"developer","content":[]}]}`:                      `messages:{role:CHAT_ROLE_DEVELOPER parts:{}}`,
		`{"messages":[{"role":"user","content":[
			{"type":"text","text":"a"},
			{"image_url":{"url":"https://x","detail":"low"},"type":"image_url"},
			{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}},
			{"type":"file","file":{"file_id":"f","filename":"n"}},
			{"type":"refusal","refusal":"r"}]}]}`: `messages:{role:CHAT_ROLE_USER parts:{
				parts:{text:"a"} parts:{image_url:{url:"https://x" detail:"low"}}
				parts:{input_audio:{data:"AA==" format:"wav"}} parts:{file:{file_id:"f" filename:"n"}} parts:{refusal:"r"}}}`,

		// a turn that calls tools, and one that answers it
		`{"messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{"}}]},
			{"role":"tool","tool_call_id":"c","content":"4"}]}`: `
			messages:{role:CHAT_ROLE_ASSISTANT tool_calls:{id:"c" function:{name:"f" arguments:"{"}}}
			messages:{role:CHAT_ROLE_TOOL tool_call_id:"c" text:"4"}`,

		// stop: a string or an array
		`{"stop":"a"}`:       `stop:"a"`,
		`{"stop":["a","b"]}`: `stop:"a" stop:"b"`,

		// most tokens, by both names; the newer one wins
		`{"max_tokens":5}`:                                `max_completion_tokens:5`,
		`{"max_completion_tokens":6,"max_tokens":5}`:      `max_completion_tokens:6`,
		`{"max_tokens":5,"max_completion_tokens":6}`:      `max_completion_tokens:6`,
		`{"user":"u","safety_identifier":"s"}`:            `user:"u"`,
		`{"safety_identifier":"s"}`:                       `user:"s"`,
		`{"metadata":{"a":"b"},"reasoning_effort":"low"}`: `metadata:{key:"a" value:"b"} reasoning_effort:"low"`,

		// sampling
		`{"temperature":0,"top_p":0.5,"presence_penalty":-2,"frequency_penalty":1e-1,"seed":-9007199254740993,"n":2}`: `
			temperature:0 top_p:0.5 presence_penalty:-2 frequency_penalty:0.1 seed:-9007199254740993 n:2`,
		`{"logit_bias":{"50256":-100,"7":0.5}}`: `logit_bias:{key:50256 value:-100} logit_bias:{key:7 value:0.5}`,
		`{"top_k":4,"min_p":0.1,"repetition_penalty":1.1,"min_tokens":3,"ignore_eos":true,"priority":2}`: `
			top_k:4 min_p:0.1 repetition_penalty:1.1 min_tokens:3 ignore_eos:true priority:2`,
		`{"logprobs":true,"top_logprobs":3}`: `logprobs:true top_logprobs:3`,
		`{"cache_control":{"no_cache":true,"no_store":true,"max_age_seconds":9}}`: `
			cache_control:{no_cache:true no_store:true max_age_seconds:9}`,
		`{"cache_control":{"scope":"team","prompt_version":"v3","locale":"de-AT"}}`: `
			cache_control:{scope:CACHE_SCOPE_TEAM prompt_version:"v3" locale:"de-AT"}`,
		`{"stream_options":{"include_usage":true,"include_obfuscation":false}}`: `stream_options:{include_usage:true}`,

		// tools
		`{"tools":[{"type":"function","function":{"name":"f","description":"d","strict":true,"parameters":{"b": 1,"a":[2]}}}]}`: `
			tools:{function:{name:"f" description:"d" strict:true parameters_json:"{\"b\": 1,\"a\":[2]}"}}`,
		`{"tool_choice":"none"}`:     `tool_choice:{mode:TOOL_CHOICE_MODE_NONE}`,
		`{"tool_choice":"auto"}`:     `tool_choice:{mode:TOOL_CHOICE_MODE_AUTO}`,
		`{"tool_choice":"required"}`: `tool_choice:{mode:TOOL_CHOICE_MODE_REQUIRED}`,
		`{"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false}`: `
			tool_choice:{function_name:"f"} parallel_tool_calls:false`,

		// form of the answer
		`{"response_format":{"type":"text"}}`:        `response_format:{text:{}}`,
		`{"response_format":{"type":"json_object"}}`: `response_format:{json_object:{}}`,
		`{"response_format":{"json_schema":{"name":"s","description":"d","schema":{"type":"object"},"strict":true},"type":"json_schema"}}`: `
			response_format:{json_schema:{name:"s" description:"d" schema_json:"{\"type\":\"object\"}" strict:true}}`,
		`{"response_format":{"type":"regex","regex":"[a-c]+"}}`:       `response_format:{regex:"[a-c]+"}`,
		`{"response_format":{"grammar":"start: A","type":"grammar"}}`: `response_format:{grammar:"start: A"}`,
		`{"structured_outputs":{"json":{"b": 1},"regex":null}}`: `
			response_format:{json_schema:{name:"answer" schema_json:"{\"b\": 1}" strict:true}}`,
		`{"structured_outputs":{"json":"{}"}}`:            `response_format:{json_schema:{name:"answer" schema_json:"{}" strict:true}}`,
		`{"structured_outputs":{"json_object":true}}`:     `response_format:{json_object:{}}`,
		`{"structured_outputs":{"regex":"a"}}`:            `response_format:{regex:"a"}`,
		`{"structured_outputs":{"choice":["a","b"]}}`:     `response_format:{choice:{choices:"a" choices:"b"}}`,
		`{"structured_outputs":{"grammar":"root ::= A"}}`: `response_format:{grammar:"root ::= A"}`,
		`{"guided_json":{"type":"object"}}`: `
			response_format:{json_schema:{name:"answer" schema_json:"{\"type\":\"object\"}" strict:true}}`,
		`{"guided_regex":"a"}`:          `response_format:{regex:"a"}`,
		`{"guided_choice":["a"]}`:       `response_format:{choice:{choices:"a"}}`,
		`{"guided_grammar":"start: A"}`: `response_format:{grammar:"start: A"}`,
		`{"modalities":["text"]}`:       ``,
	} {
		request, err := DecodeChatRequest([]byte(json))
		if err != nil {
			t.Errorf("%s: %v", json, err)
			continue
		}
		wanted := &routerv1.ChatCompletionParameters{}
		if err := prototext.Unmarshal([]byte(want), wanted); err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		if !proto.Equal(request.Parameters, wanted) {
			t.Errorf("%s\n is read as %v,\n want %v", json, request.Parameters, wanted)
		}
	}
}

func TestWhetherToStreamIsNoParameter(t *testing.T) {
	request, err := DecodeChatRequest([]byte(`{"stream":true}`))
	if err != nil || !request.Stream || !proto.Equal(request.Parameters, &routerv1.ChatCompletionParameters{}) {
		t.Errorf("%v %v", request, err)
	}
}

func TestWhatIsWrongIsRefusedWithItsReasonAndItsPath(t *testing.T) {
	for json, want := range map[string]struct{ reason, param, message string }{
		``:                     {"MALFORMED_REQUEST", "", "empty"},
		`  `:                   {"MALFORMED_REQUEST", "", "empty"},
		`[]`:                   {"MALFORMED_REQUEST", "", "must be an object, not an array"},
		`{"model":"m"`:         {"MALFORMED_REQUEST", "", "not valid JSON at byte 12"},
		`{"model":"m"}}`:       {"MALFORMED_REQUEST", "", "more than one"},
		`{"model":"m"} {}`:     {"MALFORMED_REQUEST", "", "more than one"},
		`{"model":'m'}`:        {"MALFORMED_REQUEST", "model", "not valid JSON"},
		"{\"model\":\"\xff\"}": {"MALFORMED_REQUEST", "model", "UTF-8"},
		`{"model":"\ud800"}`:   {"MALFORMED_REQUEST", "model", "not valid JSON"},
		`{"n":1,"n":2}`:        {"MALFORMED_REQUEST", "n", "duplicate"},
		`{"model":1}`:          {"MALFORMED_REQUEST", "model", "model must be a string, not a number"},
		`{"messages":"hi"}`:    {"MALFORMED_REQUEST", "messages", "must be an array, not a string"},
		`{"messages":["hi"]}`:  {"MALFORMED_REQUEST", "messages[0]", "must be an object, not a string"},
		`{"messages":[null]}`:  {"MALFORMED_REQUEST", "messages[0]", "must be an object, not null"},
		`{"messages":[{"role":"user","content":7}]}`:                        {"MALFORMED_REQUEST", "messages[0].content", "a string or an array of parts"},
		`{"messages":[{},{"role":7}]}`:                                      {"MALFORMED_REQUEST", "messages[1].role", "must be a string"},
		`{"messages":[{"role":"boss"}]}`:                                    {"INVALID_ARGUMENT", "messages[0].role", "must be system"},
		`{"messages":[{"role":"function"}]}`:                                {"UNSUPPORTED_FEATURE", "messages[0].role", "deprecated"},
		`{"messages":[{"function_call":{}}]}`:                               {"UNSUPPORTED_FEATURE", "messages[0].function_call", "deprecated"},
		`{"messages":[{"audio":{"id":"a"}}]}`:                               {"UNSUPPORTED_FEATURE", "messages[0].audio", "not served"},
		`{"messages":[{"content":[{"text":"a"}]}]}`:                         {"MALFORMED_REQUEST", "messages[0].content[0].type", "missing"},
		`{"messages":[{"content":[{"type":"video"}]}]}`:                     {"UNSUPPORTED_FEATURE", "messages[0].content[0].type", "must be text"},
		`{"messages":[{"content":[{"type":"text"}]}]}`:                      {"MALFORMED_REQUEST", "messages[0].content[0].text", "must have the member text"},
		`{"messages":[{"content":[{"type":"image_url","image_url":"u"}]}]}`: {"MALFORMED_REQUEST", "messages[0].content[0].image_url", "must be an object"},
		`{"messages":[{"tool_calls":[{"type":"custom"}]}]}`:                 {"UNSUPPORTED_FEATURE", "messages[0].tool_calls[0].type", "must be function"},
		`{"temperature":"hot"}`:                                             {"MALFORMED_REQUEST", "temperature", "must be a number, not a string"},
		`{"temperature":1e999}`:                                             {"INVALID_ARGUMENT", "temperature", "out of range"},
		`{"n":1.5}`:                                                         {"MALFORMED_REQUEST", "n", "must be an integer"},
		`{"n":-1}`:                                                          {"INVALID_ARGUMENT", "n", "from 0 to"},
		`{"max_tokens":4294967296}`:                                         {"INVALID_ARGUMENT", "max_tokens", "from 0 to"},
		`{"seed":9223372036854775808}`:                                      {"INVALID_ARGUMENT", "seed", "from -9223372036854775808"},
		`{"stream":"yes"}`:                                                  {"MALFORMED_REQUEST", "stream", "must be a boolean, not a string"},
		`{"stop":{}}`:                                                       {"MALFORMED_REQUEST", "stop", "a string or an array of strings"},
		`{"stop":["a",1]}`:                                                  {"MALFORMED_REQUEST", "stop[1]", "must be a string"},
		`{"logit_bias":{"x":1}}`:                                            {"MALFORMED_REQUEST", "logit_bias", "no token id"},
		`{"logit_bias":{"7":"x"}}`:                                          {"MALFORMED_REQUEST", "logit_bias[7]", "must be a number"},
		`{"metadata":{"a":1}}`:                                              {"MALFORMED_REQUEST", "metadata.a", "must be a string"},
		`{"tools":[{"type":"custom","custom":{}}]}`:                         {"UNSUPPORTED_FEATURE", "tools[0].type", "must be function"},
		`{"tools":[{"function":{"parameters":"x"}}]}`:                       {"MALFORMED_REQUEST", "tools[0].function.parameters", "must be an object"},
		`{"tool_choice":"any"}`:                                             {"INVALID_ARGUMENT", "tool_choice", "none, auto, required"},
		`{"tool_choice":3}`:                                                 {"MALFORMED_REQUEST", "tool_choice", "a string or an object"},
		`{"tool_choice":{"type":"allowed_tools"}}`:                          {"UNSUPPORTED_FEATURE", "tool_choice.type", "must be function"},
		`{"response_format":{"type":"xml"}}`:                                {"INVALID_ARGUMENT", "response_format.type", "json_schema"},
		`{"response_format":{"type":"regex"}}`:                              {"INVALID_ARGUMENT", "response_format.type", "a member of that name"},
		`{"response_format":{"type":"json_object","schema":{}}}`:            {"UNSUPPORTED_FEATURE", "response_format.schema", "Unrecognized"},
		`{"structured_outputs":{}}`:                                         {"INVALID_ARGUMENT", "structured_outputs", "must have json"},
		`{"structured_outputs":{"structural_tag":"a"}}`:                     {"UNSUPPORTED_FEATURE", "structured_outputs.structural_tag", "Unrecognized"},
		`{"structured_outputs":{"regex":"a","json":{}}}`:                    {"INVALID_ARGUMENT", "structured_outputs.json", "second form"},
		`{"structured_outputs":{"json_object":false}}`:                      {"INVALID_ARGUMENT", "structured_outputs.json_object", "must be true"},
		`{"structured_outputs":{"json":true}}`:                              {"MALFORMED_REQUEST", "structured_outputs.json", "must be an object"},
		`{"structured_outputs":{"choice":"a"}}`:                             {"MALFORMED_REQUEST", "structured_outputs.choice", "must be an array"},
		`{"guided_regex":"a","guided_json":{}}`:                             {"INVALID_ARGUMENT", "guided_json", "beside another"},
		`{"regex":"a"}`:                                                     {"UNSUPPORTED_FEATURE", "regex", "Unrecognized request argument supplied: regex"},
		`{"cache_control":{"no_cach":true}}`:                                {"UNSUPPORTED_FEATURE", "cache_control.no_cach", "Unrecognized"},
		`{"functions":[]}`:                                                  {"UNSUPPORTED_FEATURE", "functions", "deprecated"},
		`{"function_call":"auto"}`:                                          {"UNSUPPORTED_FEATURE", "function_call", "deprecated"},
		`{"modalities":["text","audio"]}`:                                   {"UNSUPPORTED_FEATURE", "modalities[1]", "text only"},
		`{"audio":{"voice":"v"}}`:                                           {"UNSUPPORTED_FEATURE", "audio", "not served"},
		`{"web_search_options":{}}`:                                         {"UNSUPPORTED_FEATURE", "web_search_options", "not served"},
		`{"` + strings.Repeat("x", 9999) + `":1}`:                           {"UNSUPPORTED_FEATURE", "…", "Unrecognized"},
		`{"store":{"` + strings.Repeat("x", 9999) + `":` + "\x01}}":         {"MALFORMED_REQUEST", "store…", "not valid JSON"},
		strings.Repeat(`[`, 20000):                                          {"MALFORMED_REQUEST", "", "max depth"},
		`{"store":` + strings.Repeat(`[`, 20000):                            {"MALFORMED_REQUEST", "store[0][0]", "not valid JSON"},
	} {
		_, err := DecodeChatRequest([]byte(json))
		f, ok := err.(*fault.Fault)
		if !ok || f.Reason != want.reason || !strings.HasPrefix(f.Param, want.param) || !strings.Contains(f.Message, want.message) {
			t.Errorf("%.200s\n gives %+v, want %+v", json, err, want)
		}
		if ok && (len(f.Message) > 1024 || len(f.Param) > 1024) {
			t.Errorf("%.200s: the answer echoes too much: %d bytes", json, len(f.Message))
		}
	}
}

func FuzzNoBodyBreaksTheReader(f *testing.F) {
	f.Add([]byte(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"stop":["a"]}`))
	f.Add([]byte(`{"tools":[{"type":"function","function":{"parameters":{}}}],"logit_bias":{"1":2}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		request, err := DecodeChatRequest(body)
		if err == nil && request.Parameters == nil {
			t.Error("neither request nor error")
		}
		if _, known := err.(*fault.Fault); err != nil && !known {
			t.Errorf("%v is no fault", err)
		}
	})
}

func BenchmarkDecodeChatRequest(b *testing.B) {
	body := []byte(`{"model":"smollm2-135m-instruct","messages":[{"role":"system","content":"You are helpful."},{"role":"user","content":"` +
		strings.Repeat("All work and no play. ", 50) + `"}],"temperature":0.7,"max_tokens":100,"stream":true}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeChatRequest(body); err != nil {
			b.Fatal(err)
		}
	}
}
