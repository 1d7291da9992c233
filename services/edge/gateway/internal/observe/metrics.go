// Package observe is what operators see of the gateway: metrics and logs.
package observe

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// secondsBuckets are those of every service (servicekit.metrics).
var secondsBuckets = []float64{
	0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120,
}

// Metrics are the gateway's. Labels are bounded: routes are patterns, never paths.
type Metrics struct {
	registry    *prometheus.Registry
	requests    *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	inFlight    prometheus.Gauge
	firstEvent  prometheus.Histogram
	events      prometheus.Counter
	streamsOver *prometheus.CounterVec
}

// NewMetrics makes a registry with the gateway's collectors and those of the Go runtime.
func NewMetrics() *Metrics {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	with := promauto.With(registry)
	return &Metrics{
		registry: registry,
		requests: with.NewCounterVec(prometheus.CounterOpts{
			Name: "penstock_gateway_requests_total", Help: "Requests answered, by route and HTTP code.",
		}, []string{"route", "code"}),
		seconds: with.NewHistogramVec(prometheus.HistogramOpts{
			Name: "penstock_gateway_request_seconds", Help: "Time from a request's head to its answer's end.", Buckets: secondsBuckets,
		}, []string{"route"}),
		inFlight: with.NewGauge(prometheus.GaugeOpts{
			Name: "penstock_gateway_requests_in_flight", Help: "Requests being answered, streams included.",
		}),
		firstEvent: with.NewHistogram(prometheus.HistogramOpts{
			Name: "penstock_gateway_first_event_seconds", Help: "Time to the first event of a stream.", Buckets: secondsBuckets,
		}),
		events: with.NewCounter(prometheus.CounterOpts{
			Name: "penstock_gateway_stream_events_total", Help: "Events of streams, without [DONE] and errors.",
		}),
		streamsOver: with.NewCounterVec(prometheus.CounterOpts{
			Name: "penstock_gateway_streams_total", Help: "Streams that began, by the reason they failed for; empty: they did not.",
		}, []string{"reason"}),
	}
}

// FirstEvent counts the first event of a stream.
func (m *Metrics) FirstEvent(afterStart time.Duration) { m.firstEvent.Observe(afterStart.Seconds()) }

// StreamEnded counts a stream that began. An empty reason means that it ended whole.
func (m *Metrics) StreamEnded(events int, reason string) {
	m.events.Add(float64(events))
	m.streamsOver.WithLabelValues(reason).Inc()
}

// Handler serves the Prometheus text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *Metrics) answered(route string, code int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}
