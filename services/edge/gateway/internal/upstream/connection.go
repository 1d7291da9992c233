// Package upstream is the gateway's one connection: to the router, which forwards what others own.
package upstream

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/penstock-ai/penstock/services/edge/gateway/internal/fault"
)

const messageBytesMax = 64 << 20 // a body of 32 MiB grows when its parts get names

// Only reads are repeated. What may have been charged is the caller's to repeat, with its idempotency key; grpc-go by itself
// repeats calls of any kind that the router certainly never saw.
const serviceConfig = `{
  "loadBalancingConfig": [{"round_robin": {}}],
  "methodConfig": [{
    "name": [
      {"service": "penstock.router.v1.ModelService"},
      {"service": "penstock.router.v1.ApiKeyService", "method": "GetApiKey"},
      {"service": "penstock.router.v1.ApiKeyService", "method": "ListApiKeys"},
      {"service": "penstock.billing.v1.UsageService"},
      {"service": "penstock.billing.v1.UsageCorrectionService", "method": "ListUsageCorrections"},
      {"service": "penstock.billing.v1.PriceService", "method": "ListPrices"},
      {"service": "penstock.billing.v1.PriceService", "method": "ListPriceBooks"},
      {"service": "penstock.billing.v1.PriceService", "method": "GetPriceBook"},
      {"service": "penstock.billing.v1.InvoiceService", "method": "GetInvoice"},
      {"service": "penstock.billing.v1.InvoiceService", "method": "ListInvoices"},
      {"service": "penstock.billing.v1.InvoiceService", "method": "DownloadInvoice"},
      {"service": "penstock.billing.v1.WebhookService", "method": "ListWebhooks"},
      {"service": "penstock.billing.v1.BudgetService", "method": "GetBudget"},
      {"service": "penstock.billing.v1.BudgetService", "method": "ListBudgets"}
    ],
    "retryPolicy": {
      "maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 3,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
}`

// Dial makes the connection; it connects in the background. While the router restarts, a call waits for it up to patience.
func Dial(address string, patience time.Duration) (*grpc.ClientConn, error) {
	wait := waiter{patience}
	conn, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(), // peers are never behind the HTTP proxy of the environment
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(messageBytesMax), grpc.MaxCallSendMsgSize(messageBytesMax)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 500 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
		grpc.WithIdleTimeout(0),
		grpc.WithUnaryInterceptor(wait.unary),
		grpc.WithStreamInterceptor(wait.stream),
	)
	if err != nil {
		return nil, err
	}
	conn.Connect()
	return conn, nil
}

// waiter holds a call back until the connection is ready, so that a call is not failed for a router that restarts.
type waiter struct{ patience time.Duration }

func (w waiter) unary(
	ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	if err := w.ready(ctx, conn); err != nil {
		return err
	}
	return invoke(ctx, method, request, reply, conn, options...)
}

func (w waiter) stream(
	ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	if err := w.ready(ctx, conn); err != nil {
		return nil, err
	}
	return open(ctx, desc, conn, method, options...)
}

func (w waiter) ready(ctx context.Context, conn *grpc.ClientConn) error {
	state := conn.GetState()
	if state == connectivity.Ready {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	for ; state != connectivity.Ready; state = conn.GetState() {
		conn.Connect()
		if !conn.WaitForStateChange(bounded, state) {
			return notReady(ctx)
		}
	}
	return nil
}

func notReady(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &fault.Fault{
		Code: codes.Unavailable, Reason: "DEPENDENCY_UNAVAILABLE", Message: "The router does not answer; retry.",
		RetryAfter: time.Second,
	}
}
