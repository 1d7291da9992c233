// mock_upstream answers every POST at once with the same 100-token chat completion (OpenAI's shape, HTTP/1.1, keep-alive), and
// every GET with the number of completions so far. It reads connections itself so that it is never what a benchmark measures.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
)

const answerTokens = 100

var (
	contentLength = []byte("content-length:")
	completions   atomic.Int64
	errNoLength   = errors.New("a POST without content-length")
)

func main() {
	address := flag.String("listen", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	completion := response(completionBody())
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(conn, completion)
	}
}

// serve answers the requests of one connection in order, until its peer closes it or sends what is no request.
func serve(conn net.Conn, completion []byte) {
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 64<<10)
	for {
		isGet, bodyBytes, err := readHead(reader)
		if err != nil {
			return
		}
		if _, err := reader.Discard(bodyBytes); err != nil {
			return
		}
		answer := completion
		if isGet {
			answer = response(strconv.FormatInt(completions.Load(), 10))
		} else {
			completions.Add(1)
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

// readHead reads a request line and headers and returns the length of the body that follows.
func readHead(reader *bufio.Reader) (isGet bool, bodyBytes int, err error) {
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return false, 0, err
	}
	isGet = bytes.HasPrefix(line, []byte("GET "))
	for {
		line, err = reader.ReadSlice('\n')
		if err != nil {
			return false, 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 && !isGet && bodyBytes == 0 {
			return false, 0, errNoLength
		}
		if len(line) == 0 {
			return isGet, bodyBytes, nil
		}
		if len(line) > len(contentLength) && bytes.EqualFold(line[:len(contentLength)], contentLength) {
			value := string(bytes.TrimSpace(line[len(contentLength):]))
			if bodyBytes, err = strconv.Atoi(value); err != nil {
				return false, 0, err
			}
		}
	}
}

func response(body string) []byte {
	const head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
	return fmt.Appendf(nil, head, len(body), body)
}

func completionBody() string {
	words := strings.TrimSpace(strings.Repeat("word ", answerTokens))
	return fmt.Sprintf(`{"id":"chatcmpl-mock","object":"chat.completion","created":1700000000,"model":"mock",`+
		`"choices":[{"index":0,"message":{"role":"assistant","content":"%s"},"logprobs":null,"finish_reason":"stop"}],`+
		`"usage":{"prompt_tokens":250,"completion_tokens":%d,"total_tokens":%d}}`,
		words, answerTokens, 250+answerTokens)
}
