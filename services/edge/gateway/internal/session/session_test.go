package session_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/session"

	sessionv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/session/v1"
)

const (
	method = "/test.Echo/Unary"
	within = time.Minute
)

type stream = grpc.BidiStreamingServer[sessionv1.ConnectRequest, sessionv1.ConnectResponse]

// server does with each session what a test says, and echoes calls that are made as RPCs of their own.
type server struct {
	sessionv1.UnimplementedSessionServiceServer
	connect  func(number int32, s stream) error
	sessions atomic.Int32
	direct   atomic.Int32
}

func (s *server) Connect(opened stream) error { return s.connect(s.sessions.Add(1), opened) }

func (s *server) dial(t *testing.T) *session.Conn {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving := grpc.NewServer(grpc.UnknownServiceHandler(s.echoDirect))
	sessionv1.RegisterSessionServiceServer(serving, s)
	go func() { _ = serving.Serve(listener) }() // it ends by Stop
	t.Cleanup(serving.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return session.New(conn)
}

func (s *server) echoDirect(_ any, direct grpc.ServerStream) error {
	s.direct.Add(1)
	text := &wrapperspb.StringValue{}
	if err := direct.RecvMsg(text); err != nil {
		return err
	}
	return direct.SendMsg(text)
}

// echo answers every call of a session with its request.
func echo(s stream) error {
	for {
		message, err := s.Recv()
		if err != nil {
			return nil
		}
		response := &sessionv1.ConnectResponse{}
		for _, call := range message.GetCalls() {
			response.Answers = append(response.Answers, &sessionv1.Answer{Id: call.GetId(), Response: call.GetRequest()})
		}
		if err := s.Send(response); err != nil {
			return err
		}
	}
}

func ask(ctx context.Context, conn *session.Conn, text string) (string, error) {
	reply := &wrapperspb.StringValue{}
	err := conn.Invoke(ctx, method, wrapperspb.String(text), reply)
	return reply.GetValue(), err
}

func mustAnswer(t *testing.T, conn *session.Conn, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	if got, err := ask(ctx, conn, text); err != nil || got != text {
		t.Errorf("%q, %v; want %q", got, err, text)
	}
}

func TestCallsThatCrowdTravelTogetherAndEachGetsItsAnswer(t *testing.T) {
	var messages atomic.Int32
	s := &server{connect: func(_ int32, opened stream) error { return echo(&counted{opened, &messages}) }}
	conn := s.dial(t)
	var all sync.WaitGroup
	for number := range 200 {
		all.Go(func() { mustAnswer(t, conn, fmt.Sprint(number)) })
	}
	all.Wait()
	if messages.Load() >= 200 || s.sessions.Load() != 1 {
		t.Errorf("%d messages in %d sessions for 200 calls", messages.Load(), s.sessions.Load())
	}
}

type counted struct {
	stream
	messages *atomic.Int32
}

func (c *counted) Recv() (*sessionv1.ConnectRequest, error) {
	c.messages.Add(1)
	return c.stream.Recv()
}

func TestAnErrorKeepsItsCodeAndText(t *testing.T) {
	conn := (&server{connect: func(_ int32, opened stream) error {
		message, _ := opened.Recv()
		failed := status.New(codes.NotFound, "no such model").Proto()
		_ = opened.Send(&sessionv1.ConnectResponse{Answers: []*sessionv1.Answer{{Id: message.GetCalls()[0].GetId(), Status: failed}}})
		return echo(opened)
	}}).dial(t)
	_, err := ask(t.Context(), conn, "a")
	if status.Code(err) != codes.NotFound || status.Convert(err).Message() != "no such model" {
		t.Errorf("%v", err)
	}
	mustAnswer(t, conn, "b")
}

func TestALargeRequestGoesAsAnRPCOfItsOwn(t *testing.T) {
	s := &server{connect: func(_ int32, opened stream) error { return echo(opened) }}
	mustAnswer(t, s.dial(t), string(make([]byte, 300_000)))
	if s.direct.Load() != 1 || s.sessions.Load() != 0 {
		t.Errorf("%d RPCs, %d sessions", s.direct.Load(), s.sessions.Load())
	}
}

func TestWhoGivesUpIsTakenBackAndTheOthersGoOn(t *testing.T) {
	cancelled := make(chan uint64, 1)
	ctx := expiring{t.Context(), make(chan struct{})}
	conn := (&server{connect: func(_ int32, opened stream) error {
		first, _ := opened.Recv()
		close(ctx.expired)
		second, _ := opened.Recv()
		if ids := second.GetCancelledIds(); len(ids) == 1 && ids[0] == first.GetCalls()[0].GetId() {
			cancelled <- ids[0]
		}
		return echo(opened)
	}}).dial(t)
	if _, err := ask(ctx, conn, "a"); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%v", err)
	}
	select {
	case <-cancelled:
	case <-time.After(within):
		t.Fatal("the router was not told")
	}
	mustAnswer(t, conn, "b")
}

// expiring is a context whose deadline is past when a test says so.
type expiring struct {
	context.Context
	expired chan struct{}
}

func (e expiring) Done() <-chan struct{} { return e.expired }

func (e expiring) Err() error {
	select {
	case <-e.expired:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

func TestASessionThatBreaksFailsWhatWasSentAndTheNextCallOpensANewOne(t *testing.T) {
	s := &server{connect: func(number int32, opened stream) error {
		if number > 1 {
			return echo(opened)
		}
		_, _ = opened.Recv()
		return status.Error(codes.Internal, "gone")
	}}
	conn := s.dial(t)
	if _, err := ask(t.Context(), conn, "a"); status.Code(err) != codes.Unavailable {
		t.Errorf("%v, want UNAVAILABLE: the router may have seen it", err)
	}
	mustAnswer(t, conn, "b")
}

func TestACallThatWasNotSentIsSentInTheNextSession(t *testing.T) {
	s := &server{connect: func(number int32, opened stream) error {
		if number > 1 {
			return echo(opened)
		}
		return status.Error(codes.Unavailable, "gone before it read anything")
	}}
	conn := s.dial(t)
	mustAnswerOrMayHaveBeenSent(t, conn)
	mustAnswer(t, conn, "b")
}

// mustAnswerOrMayHaveBeenSent allows for the call that left before the session's end was heard of.
func mustAnswerOrMayHaveBeenSent(t *testing.T, conn *session.Conn) {
	t.Helper()
	if _, err := ask(t.Context(), conn, "a"); err != nil && status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestARouterThatDrainsAnswersWhatItHasAndGetsNothingMore(t *testing.T) {
	closed := make(chan error, 1)
	begun := make(chan struct{})
	s := &server{connect: func(number int32, opened stream) error {
		if number > 1 {
			return echo(opened)
		}
		first, _ := opened.Recv()
		close(begun)
		_ = opened.Send(&sessionv1.ConnectResponse{Draining: true})
		time.Sleep(50 * time.Millisecond) // whoever comes meanwhile goes elsewhere
		response := &sessionv1.ConnectResponse{}
		for _, call := range first.GetCalls() {
			response.Answers = append(response.Answers, &sessionv1.Answer{Id: call.GetId(), Response: call.GetRequest()})
		}
		_ = opened.Send(response)
		_, err := opened.Recv()
		closed <- err
		return nil
	}}
	conn := s.dial(t)
	var first sync.WaitGroup
	first.Go(func() { mustAnswer(t, conn, "first") })
	<-begun
	first.Wait()
	mustAnswer(t, conn, "second")
	select {
	case err := <-closed:
		if err == nil {
			t.Error("the draining session was given another call")
		}
	case <-time.After(within):
		t.Error("the draining session was not closed")
	}
	if s.sessions.Load() != 2 {
		t.Errorf("%d sessions", s.sessions.Load())
	}
}
