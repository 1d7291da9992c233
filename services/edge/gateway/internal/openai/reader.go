// Package openai is OpenAI's JSON, read straight into and written straight from the typed messages of router.v1.
package openai

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"
)

// reader reads one JSON text, once, token by token. Its methods read one value of the wanted type and fail with a Fault
// that names the path of the member. Invalid UTF-8 and members given twice are syntax errors (RFC 7493).
type reader struct{ dec *jsontext.Decoder }

func newReader(body []byte) reader { return reader{jsontext.NewDecoder(bytes.NewBuffer(body))} }

// object reads an object member by member. A member that is null counts as absent. One that is not known the callback skips,
// where it may be the remains of an answer, or calls unrecognized.
func (r reader) object(member func(name string) error) error {
	if err := r.open(jsontext.BeginObject, "an object"); err != nil {
		return err
	}
	for r.dec.PeekKind() != '}' {
		name, err := r.dec.ReadToken()
		if err != nil {
			return r.syntax(err)
		}
		if r.dec.PeekKind() == 'n' {
			err = r.skip()
		} else {
			err = member(name.String())
		}
		if err != nil {
			return err
		}
	}
	return r.close()
}

// array reads an array value by value.
func (r reader) array(element func() error) error {
	if err := r.open(jsontext.BeginArray, "an array"); err != nil {
		return err
	}
	for r.dec.PeekKind() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	return r.close()
}

// end makes sure that nothing but white space follows.
func (r reader) end() error {
	if _, err := r.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return fault.Malformed("", "The body holds more than one JSON value.")
	}
	return nil
}

func (r reader) skip() error {
	if err := r.dec.SkipValue(); err != nil {
		return r.syntax(err)
	}
	return nil
}

// unrecognized refuses the member whose name was read last, in OpenAI's words: what it asks for would not be done.
func (r reader) unrecognized() error {
	return fault.Unsupported(r.path(), "Unrecognized request argument supplied: %s", r.path())
}

func (r reader) text() (string, error) {
	token, err := r.scalar('"', "a string")
	if err != nil {
		return "", err
	}
	return token.String(), nil
}

func (r reader) boolean() (bool, error) {
	if kind := r.dec.PeekKind(); kind != 't' && kind != 'f' {
		return false, r.unexpected("a boolean")
	}
	token, err := r.dec.ReadToken()
	if err != nil {
		return false, r.syntax(err)
	}
	return token.Bool(), nil
}

func (r reader) number() (float64, error) {
	token, err := r.scalar('0', "a number")
	if err != nil {
		return 0, err
	}
	value, err := token.Float()
	if err != nil {
		return 0, fault.Invalid(r.path(), "%s is out of range.", r.path())
	}
	return value, nil
}

func (r reader) float32() (float32, error) {
	value, err := r.number()
	return float32(value), err
}

func (r reader) uint32() (uint32, error) {
	value, err := r.integer(0, math.MaxUint32)
	return uint32(value), err
}

func (r reader) int32() (int32, error) {
	value, err := r.integer(math.MinInt32, math.MaxInt32)
	return int32(value), err
}

func (r reader) int64() (int64, error) { return r.integer(math.MinInt64, math.MaxInt64) }

func (r reader) integer(least, most int64) (int64, error) {
	token, err := r.scalar('0', "an integer")
	if err != nil {
		return 0, err
	}
	value, err := token.Int()
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return 0, fault.Malformed(r.path(), "%s must be an integer.", r.path())
	case err != nil || value < least || value > most:
		return 0, fault.Invalid(r.path(), "%s must be from %d to %d.", r.path(), least, most)
	}
	return value, nil
}

// rawObject reads an object and keeps its text as it was written.
func (r reader) rawObject() (string, error) {
	if r.dec.PeekKind() != '{' {
		return "", r.unexpected("an object")
	}
	value, err := r.dec.ReadValue()
	if err != nil {
		return "", r.syntax(err)
	}
	return string(value), nil
}

func (r reader) scalar(kind jsontext.Kind, want string) (jsontext.Token, error) {
	if r.dec.PeekKind() != kind {
		return jsontext.Token{}, r.unexpected(want)
	}
	token, err := r.dec.ReadToken()
	if err != nil {
		return jsontext.Token{}, r.syntax(err)
	}
	return token, nil
}

func (r reader) open(delimiter jsontext.Token, want string) error {
	_, err := r.scalar(delimiter.Kind(), want)
	return err
}

func (r reader) close() error {
	if _, err := r.dec.ReadToken(); err != nil {
		return r.syntax(err)
	}
	return nil
}

// unexpected skips the value that comes, so that path names it, and says what was wanted in its place.
func (r reader) unexpected(want string) error {
	got := kindNames[r.dec.PeekKind()]
	if err := r.skip(); err != nil {
		return err
	}
	path := r.path()
	if path == "" {
		return fault.Malformed("", "The body must be %s, not %s.", want, got)
	}
	return fault.Malformed(path, "%s must be %s, not %s.", path, want, got)
}

var kindNames = map[jsontext.Kind]string{
	'n': "null", 't': "a boolean", 'f': "a boolean", '"': "a string", '0': "a number", '{': "an object", '[': "an array",
}

func (r reader) syntax(err error) error {
	if errors.Is(err, io.EOF) {
		return fault.Malformed("", "The body is empty; send a JSON object.")
	}
	var where *jsontext.SyntacticError
	if !errors.As(err, &where) {
		return fault.Malformed("", "The body is not valid JSON.")
	}
	path := memberPath(where.JSONPointer)
	return fault.Malformed(path, "The body is not valid JSON at byte %d: %v.", where.ByteOffset, where.Err)
}

const pathBytesMax = 256

// path names the value that was read last.
func (r reader) path() string { return memberPath(r.dec.StackPointer()) }

// memberPath turns a JSON Pointer (RFC 6901) into "messages[0].content".
func memberPath(pointer jsontext.Pointer) string {
	var path strings.Builder
	for name := range pointer.Tokens() {
		switch {
		case path.Len()+len(name) > pathBytesMax:
			return path.String() + "…"
		case name != "" && strings.Trim(name, "0123456789") == "":
			path.WriteString("[" + name + "]")
		case path.Len() > 0:
			path.WriteString("." + name)
		default:
			path.WriteString(name)
		}
	}
	return path.String()
}

// optional reads a value whose absence means something.
func optional[T any](read func() (T, error)) (*T, error) {
	value, err := read()
	return &value, err
}

// list reads an array of like values.
func list[T any](r reader, read func() (T, error)) ([]T, error) {
	var values []T
	err := r.array(func() error {
		value, err := read()
		values = append(values, value)
		return err
	})
	return values, err
}
