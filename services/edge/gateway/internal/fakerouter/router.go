// Package fakerouter is a router for tests: a real gRPC server that speaks the contract and does what a test scripts.
package fakerouter

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	billingv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/billing/v1"
	routerv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/router/v1"
	sessionv1 "github.com/penstock-ai/penstock/services/edge/gateway/gen/penstock/session/v1"
)

// Stream is the server's side of a streamed answer.
type Stream = grpc.ServerStreamingServer[routerv1.StreamChatCompletionResponse]

// TextStream is the server's side of streamed continuations.
type TextStream = grpc.ServerStreamingServer[routerv1.StreamCompletionResponse]

// Router answers as its functions say; a method without one is UNIMPLEMENTED.
type Router struct {
	routerv1.UnimplementedChatCompletionServiceServer
	routerv1.UnimplementedCompletionServiceServer
	routerv1.UnimplementedEmbeddingServiceServer
	routerv1.UnimplementedModelServiceServer
	routerv1.UnimplementedApiKeyServiceServer
	billingv1.UnimplementedBudgetServiceServer
	sessionv1.UnimplementedSessionServiceServer

	Chat   func(context.Context, *routerv1.ChatCompletionParameters) (*routerv1.ChatCompletion, error)
	Stream func(*routerv1.ChatCompletionParameters, Stream) error
	Text   func(*routerv1.CompletionParameters) (*routerv1.Completion, error)
	Texts  func(*routerv1.CompletionParameters, TextStream) error
	Embed  func(*routerv1.EmbeddingParameters) (*routerv1.EmbeddingList, error)
	Models func() ([]*routerv1.Model, error)
	Health *health.Server

	mutex    sync.Mutex
	metadata metadata.MD
	deadline time.Time
	calls    int
	budget   *billingv1.UpdateBudgetRequest
}

// Start serves on a free port until the test ends, and gives the address.
func (r *Router) Start(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.Serve(t, listener)
	return listener.Addr().String()
}

// Serve serves on a listener until the test ends; stop ends it sooner.
func (r *Router) Serve(t *testing.T, listener net.Listener) (stop func()) {
	t.Helper()
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64<<20), grpc.UnaryInterceptor(r.noteUnary), grpc.StreamInterceptor(r.noteStream))
	routerv1.RegisterChatCompletionServiceServer(server, r)
	routerv1.RegisterCompletionServiceServer(server, r)
	routerv1.RegisterEmbeddingServiceServer(server, r)
	routerv1.RegisterModelServiceServer(server, r)
	routerv1.RegisterApiKeyServiceServer(server, r)
	billingv1.RegisterBudgetServiceServer(server, r)
	sessionv1.RegisterSessionServiceServer(server, r)
	r.Health = health.NewServer()
	healthv1.RegisterHealthServer(server, r.Health)
	go func() { _ = server.Serve(listener) }() // it ends by Stop
	t.Cleanup(server.Stop)
	return server.Stop
}

// Seen gives the metadata and deadline of the last call, and the number of calls so far.
func (r *Router) Seen() (metadata.MD, time.Time, int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.metadata, r.deadline, r.calls
}

// UpdatedBudget gives the last request to change a budget.
func (r *Router) UpdatedBudget() *billingv1.UpdateBudgetRequest {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.budget
}

// CreateChatCompletion does what Chat says.
func (r *Router) CreateChatCompletion(
	ctx context.Context, ask *routerv1.CreateChatCompletionRequest,
) (*routerv1.CreateChatCompletionResponse, error) {
	completion, err := r.Chat(ctx, ask.GetParameters())
	return &routerv1.CreateChatCompletionResponse{ChatCompletion: completion}, err
}

// StreamChatCompletion does what Stream says.
func (r *Router) StreamChatCompletion(ask *routerv1.StreamChatCompletionRequest, stream Stream) error {
	return r.Stream(ask.GetParameters(), stream)
}

// CreateCompletion does what Text says.
func (r *Router) CreateCompletion(
	_ context.Context, ask *routerv1.CreateCompletionRequest,
) (*routerv1.CreateCompletionResponse, error) {
	completion, err := r.Text(ask.GetParameters())
	return &routerv1.CreateCompletionResponse{Completion: completion}, err
}

// StreamCompletion does what Texts says.
func (r *Router) StreamCompletion(ask *routerv1.StreamCompletionRequest, stream TextStream) error {
	return r.Texts(ask.GetParameters(), stream)
}

// CreateEmbedding does what Embed says.
func (r *Router) CreateEmbedding(
	_ context.Context, ask *routerv1.CreateEmbeddingRequest,
) (*routerv1.CreateEmbeddingResponse, error) {
	list, err := r.Embed(ask.GetParameters())
	return &routerv1.CreateEmbeddingResponse{Embeddings: list}, err
}

// ListModels gives what Models says.
func (r *Router) ListModels(context.Context, *routerv1.ListModelsRequest) (*routerv1.ListModelsResponse, error) {
	models, err := r.Models()
	return &routerv1.ListModelsResponse{Object: "list", Data: models}, err
}

// GetModel gives a model of the asked-for name.
func (r *Router) GetModel(_ context.Context, ask *routerv1.GetModelRequest) (*routerv1.GetModelResponse, error) {
	return &routerv1.GetModelResponse{Model: &routerv1.Model{Id: ask.GetModel(), Object: "model"}}, nil
}

// UpdateBudget notes the request and gives its budget back.
func (r *Router) UpdateBudget(
	_ context.Context, ask *billingv1.UpdateBudgetRequest,
) (*billingv1.UpdateBudgetResponse, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.budget = ask
	return &billingv1.UpdateBudgetResponse{Budget: ask.GetBudget()}, nil
}

func (r *Router) noteUnary(ctx context.Context, ask any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	r.note(ctx)
	return handle(ctx, ask)
}

func (r *Router) noteStream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if info.FullMethod != sessionv1.SessionService_Connect_FullMethodName {
		r.note(stream.Context())
	}
	return handle(server, stream)
}

func (r *Router) note(ctx context.Context) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.metadata, _ = metadata.FromIncomingContext(ctx)
	r.deadline, _ = ctx.Deadline()
	r.calls++
}

// Error makes an error as our services do: a code, an ErrorInfo with a reason, and more details.
func Error(code codes.Code, reason, message string, details ...protoadapt.MessageV1) error {
	details = append([]protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason, Domain: "penstock"}}, details...)
	rich, err := status.New(code, message).WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return rich.Err()
}

// RetryAfter makes the detail that says when to retry.
func RetryAfter(after time.Duration) protoadapt.MessageV1 {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(after)}
}

// Violation makes the detail that says which field is wrong.
func Violation(field, description string) protoadapt.MessageV1 {
	return &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
		{Field: field, Description: description},
	}}
}
