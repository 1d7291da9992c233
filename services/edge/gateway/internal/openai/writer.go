package openai

import (
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/encoding/protojson"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// writer appends JSON to a buffer. Names are given with their punctuation, as they will stand: `,"id":`.
type writer []byte

func (w *writer) raw(text string) { *w = append(*w, text...) }

func (w *writer) text(name, value string) {
	w.raw(name)
	*w, _ = jsontext.AppendQuote([]byte(*w), value) // proto strings are UTF-8 already
}

// textOrNull writes null for the empty string.
func (w *writer) textOrNull(name, value string) {
	if value == "" {
		w.raw(name)
		w.raw("null")
		return
	}
	w.text(name, value)
}

func (w *writer) uint(name string, value uint32) {
	w.raw(name)
	*w = strconv.AppendUint(*w, uint64(value), 10)
}

// float writes a number of 32 bits in the fewest digits that read back the same; JSON has no infinities, so they are clamped.
func (w *writer) float(name string, value float32) {
	w.raw(name)
	clamped := min(max(float64(value), -math.MaxFloat32), math.MaxFloat32)
	if math.IsNaN(clamped) {
		w.raw("null")
		return
	}
	*w = strconv.AppendFloat(*w, clamped, 'g', -1, 32)
}

// usage writes token counts as OpenAI does.
func (w *writer) usage(name string, usage *routerv1.Usage) {
	w.raw(name)
	if usage == nil {
		w.raw("null")
		return
	}
	w.uint(`{"prompt_tokens":`, usage.GetPromptTokens())
	w.uint(`,"completion_tokens":`, usage.GetCompletionTokens())
	w.uint(`,"total_tokens":`, usage.GetTotalTokens())
	w.uint(`,"prompt_tokens_details":{"cached_tokens":`, usage.GetCachedPromptTokens())
	w.uint(`},"completion_tokens_details":{"reasoning_tokens":`, usage.GetReasoningTokens())
	w.raw(`}}`)
}

var receiptJSON = protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}

// receipt writes the member "penstock": the receipt in proto JSON, all of its fields always there.
func (w *writer) receipt(receipt *routerv1.Receipt) {
	if receipt == nil {
		return
	}
	w.raw(`,"penstock":`)
	before := *w
	after, err := receiptJSON.MarshalAppend(before, receipt)
	if err != nil { // only a string that is not UTF-8 fails, and protobuf lets none through
		after = append(before, `null`...)
	}
	*w = after
}
