// Package session carries unary calls to the router on one stream, several in a message: a call then costs both sides a fraction
// of what an RPC of its own costs, and what arrives together travels on together.
package session

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	sessionv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/session/v1"
)

const (
	requestBytesMax = 256 << 10 // larger requests would hold up others: they go as RPCs of their own
	attemptsMax     = 3         // of calls that were certainly never sent
)

// Conn is a connection to one service whose unary calls travel in a session; streams pass through as they are.
type Conn struct {
	grpc.ClientConnInterface
	client sessionv1.SessionServiceClient

	mutex   sync.Mutex
	current *session
}

// New makes a Conn over a connection. The first call opens its session.
func New(conn grpc.ClientConnInterface) *Conn {
	return &Conn{ClientConnInterface: conn, client: sessionv1.NewSessionServiceClient(conn)}
}

// Invoke makes a unary call.
func (c *Conn) Invoke(ctx context.Context, method string, ask, reply any, options ...grpc.CallOption) error {
	request, err := proto.Marshal(ask.(proto.Message))
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	if len(request) > requestBytesMax {
		return c.ClientConnInterface.Invoke(ctx, method, ask, reply, options...)
	}
	answer, err := c.ask(ctx, frame(ctx, method, request))
	if err != nil {
		return err
	}
	if answer.GetStatus().GetCode() != int32(codes.OK) {
		return status.ErrorProto(answer.GetStatus())
	}
	return proto.Unmarshal(answer.GetResponse(), reply.(proto.Message))
}

// ask sends a call in the session that is open, and in the next one if that ended before the call was sent.
func (c *Conn) ask(ctx context.Context, call *sessionv1.Call) (answer *sessionv1.Answer, err error) {
	for range attemptsMax {
		session := c.session()
		if err = session.ready(ctx); err != nil {
			return nil, err
		}
		if answer, err = session.ask(ctx, call); !errors.Is(err, errNotSent) {
			return answer, err
		}
	}
	return nil, errLost
}

// session gives one that takes calls; a new one opens in the background.
func (c *Conn) session() *session {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.current == nil || !c.current.takesCalls() {
		c.current = open(c.client)
	}
	return c.current
}

// frame writes what gRPC would send beside the request.
func frame(ctx context.Context, method string, request []byte) *sessionv1.Call {
	call := &sessionv1.Call{Method: method, Request: request}
	pairs, _ := metadata.FromOutgoingContext(ctx)
	for key, values := range pairs {
		for _, value := range values {
			call.Metadata = append(call.Metadata, &sessionv1.Metadatum{Key: key, Value: value})
		}
	}
	if deadline, bounded := ctx.Deadline(); bounded {
		call.Timeout = durationpb.New(time.Until(deadline))
	}
	return call
}
