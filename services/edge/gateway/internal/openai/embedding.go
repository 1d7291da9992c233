package openai

import (
	"encoding/base64"
	"encoding/binary"
	"math"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

// AppendEmbeddings writes vectors as OpenAI's list of "embedding", as base64 when asked for.
func AppendEmbeddings(dst []byte, list *routerv1.EmbeddingList, asBase64 bool) []byte {
	w := writer(dst)
	w.raw(`{"object":"list","data":[`)
	for i, embedding := range list.GetEmbeddings() {
		w.raw(opening(i, ``))
		w.uint(`{"object":"embedding","index":`, embedding.GetIndex())
		w.raw(`,"embedding":`)
		if asBase64 {
			w.vectorBase64(embedding.GetValues())
		} else {
			w.vector(embedding.GetValues())
		}
		w.raw(`}`)
	}
	w.text(`],"model":`, list.GetModel())
	w.uint(`,"usage":{"prompt_tokens":`, list.GetUsage().GetPromptTokens())
	w.uint(`,"total_tokens":`, list.GetUsage().GetTotalTokens())
	w.raw(`}`)
	w.receipt(list.GetReceipt())
	w.raw(`}`)
	return w
}

func (w *writer) vector(values []float32) {
	w.raw(`[`)
	for i, value := range values {
		w.float(opening(i, ``), value)
	}
	w.raw(`]`)
}

func (w *writer) vectorBase64(values []float32) {
	bytes := make([]byte, 0, 4*len(values))
	for _, value := range values {
		bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(value))
	}
	w.raw(`"`)
	*w = base64.StdEncoding.AppendEncode(*w, bytes)
	w.raw(`"`)
}
