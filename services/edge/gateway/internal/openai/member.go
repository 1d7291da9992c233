package openai

import (
	"strconv"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
)

func (r reader) streamOptions() (*routerv1.StreamOptions, error) {
	options := &routerv1.StreamOptions{}
	return options, r.object(func(name string) (err error) {
		if name != "include_usage" {
			return r.skip()
		}
		options.IncludeUsage, err = r.boolean()
		return err
	})
}

// stop reads a string or an array of strings.
func (r reader) stop() ([]string, error) {
	switch r.dec.PeekKind() {
	case '"':
		text, err := r.text()
		return []string{text}, err
	case '[':
		return list(r, r.text)
	}
	return nil, r.unexpected("a string or an array of strings")
}

func (r reader) logitBias() (map[uint32]float32, error) {
	biases := map[uint32]float32{}
	return biases, r.object(func(name string) error {
		id, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			return fault.Malformed("logit_bias", "logit_bias must map token ids to numbers; %.32q is no token id.", name)
		}
		biases[uint32(id)], err = r.float32()
		return err
	})
}

// textsOrTokens reads a string, an array of strings, an array of token ids, or an array of arrays of token ids.
func textsOrTokens[T any](r reader, ofText func(string) T, ofTokens func(*routerv1.TokenIds) T) ([]T, error) {
	element := func() (T, error) { return textOrTokens(r, ofText, ofTokens) }
	switch r.dec.PeekKind() {
	case '"':
		value, err := element()
		return []T{value}, err
	case '[':
		return arrayOfTextsOrTokens(r, element, ofTokens)
	}
	return nil, r.unexpected("a string or an array")
}

// arrayOfTextsOrTokens reads an array that is one value if it holds token ids, else a value for each element.
func arrayOfTextsOrTokens[T any](r reader, element func() (T, error), ofTokens func(*routerv1.TokenIds) T) ([]T, error) {
	var values []T
	var tokens []uint32
	err := r.array(func() error {
		if r.dec.PeekKind() == '0' && values == nil {
			id, err := r.uint32()
			tokens = append(tokens, id)
			return err
		}
		if tokens != nil {
			return r.unexpected("a token id like those before it")
		}
		value, err := element()
		values = append(values, value)
		return err
	})
	if tokens != nil {
		values = []T{ofTokens(&routerv1.TokenIds{Ids: tokens})}
	}
	return values, err
}

func textOrTokens[T any](r reader, ofText func(string) T, ofTokens func(*routerv1.TokenIds) T) (value T, err error) {
	switch r.dec.PeekKind() {
	case '"':
		text, err := r.text()
		return ofText(text), err
	case '[':
		ids, err := list(r, r.uint32)
		return ofTokens(&routerv1.TokenIds{Ids: ids}), err
	}
	return value, r.unexpected("a string or an array of token ids")
}
