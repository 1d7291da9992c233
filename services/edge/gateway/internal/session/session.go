package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sessionv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/session/v1"
)

const (
	ageMax       = 5 * time.Minute      // then a new session may find another replica
	pause        = 2 * time.Millisecond // between messages: a lone call never waits, those that crowd travel together
	messageBytes = 4 << 20              // a message takes no more calls beyond it
)

// errNotSent says that the router certainly never saw the call. It is no status: those are equal when their texts are.
var errNotSent = errors.New("session ended before the call was sent")

// errLost is the failure of a call that the router may have seen.
var errLost = status.Error(codes.Unavailable, "The router does not answer; retry.")

type stream = grpc.BidiStreamingClient[sessionv1.ConnectRequest, sessionv1.ConnectResponse]

// session is one stream and the calls that run on it.
type session struct {
	opened  chan struct{} // closed when stream or failure is set
	stream  stream
	failure error
	ended   chan struct{} // closed when nothing will be answered any more
	wake    chan struct{} // something is to be sent

	mutex     sync.Mutex
	waiting   map[uint64]*waiter
	queue     []*sessionv1.Call
	cancelled []uint64
	lastID    uint64
	retired   bool // takes no more calls
}

// waiter is somebody who waits for an answer.
type waiter struct {
	answer chan *sessionv1.Answer // holds one
	sent   bool
}

// open gives a session that takes calls at once and sends them when its stream is there.
func open(client sessionv1.SessionServiceClient) *session {
	s := &session{
		opened: make(chan struct{}), ended: make(chan struct{}), wake: make(chan struct{}, 1), waiting: map[uint64]*waiter{},
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		s.stream, s.failure = client.Connect(ctx)
		close(s.opened)
		if s.failure == nil {
			age := time.AfterFunc(ageMax, s.retire)
			defer age.Stop()
			go s.send()
			s.receive()
		}
		s.end()
	}()
	return s
}

// ready waits for the stream.
func (s *session) ready(ctx context.Context) error {
	select {
	case <-s.opened:
		return s.failure
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

func (s *session) takesCalls() bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return !s.retired
}

// ask sends a call with the next message and waits for its answer.
func (s *session) ask(ctx context.Context, call *sessionv1.Call) (*sessionv1.Answer, error) {
	mine := s.enqueue(call)
	if mine == nil {
		return nil, errNotSent
	}
	select {
	case answer := <-mine.answer:
		return answer, nil
	case <-ctx.Done():
		s.giveUp(call.GetId())
		return nil, status.FromContextError(ctx.Err()).Err()
	case <-s.ended:
		return s.lost(mine)
	}
}

func (s *session) enqueue(call *sessionv1.Call) *waiter {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.retired {
		return nil
	}
	s.lastID++
	call.Id = s.lastID
	mine := &waiter{answer: make(chan *sessionv1.Answer, 1)}
	s.waiting[call.GetId()] = mine
	s.queue = append(s.queue, call)
	s.rouse()
	return mine
}

// giveUp tells the router that nobody waits any more.
func (s *session) giveUp(id uint64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if _, unanswered := s.waiting[id]; unanswered {
		delete(s.waiting, id)
		s.cancelled = append(s.cancelled, id)
		s.rouse()
	}
}

// lost gives the answer that came just before the end, or says whether the router may have seen the call.
func (s *session) lost(mine *waiter) (*sessionv1.Answer, error) {
	select {
	case answer := <-mine.answer:
		return answer, nil
	default:
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if mine.sent {
		return nil, errLost
	}
	return nil, errNotSent
}

// send writes what is ready, message after message, until the session is retired and all is sent.
func (s *session) send() {
	var sent time.Time
	for {
		select {
		case <-s.wake:
		case <-s.ended:
			return
		}
		time.Sleep(pause - time.Since(sent))
		message, last := s.take()
		sent = time.Now()
		if len(message.GetCalls())+len(message.GetCancelledIds()) > 0 && s.stream.Send(message) != nil {
			return // receive sees why
		}
		if last {
			_ = s.stream.CloseSend() // never fails
			return
		}
	}
}

// take gives the next message, and whether it is the last.
func (s *session) take() (message *sessionv1.ConnectRequest, last bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	count, size := 0, 0
	for count < len(s.queue) && size < messageBytes {
		size += len(s.queue[count].GetRequest())
		if mine := s.waiting[s.queue[count].GetId()]; mine != nil {
			mine.sent = true
		}
		count++
	}
	message = &sessionv1.ConnectRequest{Calls: s.queue[:count:count], CancelledIds: s.cancelled}
	s.queue, s.cancelled = s.queue[count:], nil
	if len(s.queue) > 0 {
		s.rouse()
		return message, false
	}
	s.queue = nil
	return message, s.retired && len(s.waiting) == 0
}

// receive hands out answers until the stream ends.
func (s *session) receive() {
	for {
		message, err := s.stream.Recv()
		if err != nil {
			return
		}
		s.mutex.Lock()
		for _, answer := range message.GetAnswers() {
			if mine := s.waiting[answer.GetId()]; mine != nil {
				delete(s.waiting, answer.GetId())
				mine.answer <- answer
			}
		}
		if s.retired {
			s.rouse()
		}
		s.mutex.Unlock()
		if message.GetDraining() {
			s.retire()
		}
	}
}

// retire takes no more calls; those that were taken are sent and waited for.
func (s *session) retire() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.retired = true
	s.rouse()
}

// end takes back what was not sent, so that it can be sent in another session.
func (s *session) end() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.retired, s.queue = true, nil
	close(s.ended)
}

// rouse makes send look again.
func (s *session) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
