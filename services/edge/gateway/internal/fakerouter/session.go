package fakerouter

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
	sessionv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/session/v1"
)

// Connect answers the completions that come in a session, each like the RPC.
func (r *Router) Connect(stream grpc.BidiStreamingServer[sessionv1.ConnectRequest, sessionv1.ConnectResponse]) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	opened := &connection{router: r, stream: stream, cancels: map[uint64]context.CancelFunc{}}
	for {
		message, err := stream.Recv()
		if err != nil {
			running.Wait()
			return nil
		}
		for _, call := range message.GetCalls() {
			called := opened.begin(ctx, call)
			running.Go(func() { opened.answer(called, call) })
		}
		for _, id := range message.GetCancelledIds() {
			opened.cancel(id)
		}
	}
}

// connection is the server's side of one session.
type connection struct {
	router  *Router
	stream  grpc.BidiStreamingServer[sessionv1.ConnectRequest, sessionv1.ConnectResponse]
	mutex   sync.Mutex
	cancels map[uint64]context.CancelFunc
}

func (c *connection) begin(ctx context.Context, call *sessionv1.Call) context.Context {
	pairs := metadata.MD{}
	for _, pair := range call.GetMetadata() {
		pairs.Append(pair.GetKey(), pair.GetValue())
	}
	ctx, cancel := context.WithCancel(metadata.NewIncomingContext(ctx, pairs))
	if call.GetTimeout() != nil {
		ctx, cancel = context.WithTimeout(ctx, call.GetTimeout().AsDuration())
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.cancels[call.GetId()] = cancel
	return ctx
}

func (c *connection) cancel(id uint64) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.cancels[id]()
}

func (c *connection) answer(ctx context.Context, call *sessionv1.Call) {
	answer := &sessionv1.Answer{Id: call.GetId()}
	response, err := c.router.complete(ctx, call)
	if err == nil {
		answer.Response, err = proto.Marshal(response)
	}
	if err != nil {
		answer.Status = statusOf(err).Proto()
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	_ = c.stream.Send(&sessionv1.ConnectResponse{Answers: []*sessionv1.Answer{answer}}) // nobody may be there
}

func (r *Router) complete(ctx context.Context, call *sessionv1.Call) (proto.Message, error) {
	if call.GetMethod() != routerv1.ChatCompletionService_CreateChatCompletion_FullMethodName {
		return nil, status.Error(codes.Unimplemented, call.GetMethod())
	}
	ask := &routerv1.CreateChatCompletionRequest{}
	if err := proto.Unmarshal(call.GetRequest(), ask); err != nil {
		return nil, err
	}
	r.note(ctx)
	return r.CreateChatCompletion(ctx, ask)
}

// statusOf reads an error as a gRPC server does: the end of a context has a code of its own.
func statusOf(err error) *status.Status {
	if rich, ok := status.FromError(err); ok {
		return rich
	}
	return status.FromContextError(err)
}
