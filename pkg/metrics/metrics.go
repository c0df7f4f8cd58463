// Package metrics counts what the daemon does, for Prometheus. It is the only package that
// imports the Prometheus client.
//
// Counters of events are counted as they happen: Metrics is an event.Consumer. Everything
// else is asked for when somebody scrapes, so that it costs nothing between two scrapes.
//
// No metric names a source: strangers could make any number of them. Accesses are named;
// their number is bounded by the policy.
package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"nftknock/pkg/event"
)

// State is what is so at the moment.
type State struct {
	Ready bool // knocks are heard
	// Conditions has every name of a condition, and whether it is so now.
	Conditions map[string]bool
	Accesses   int // of the policy in force
	Workers    []Worker
}

// Worker is the state of the worker of an NFLOG group. Its counters count from the start of
// the daemon.
type Worker struct {
	Group   uint16
	Packets uint64 // read
	Lost    uint64 // dropped by the kernel, since they were not read in time
}

// Metrics counts events, and serves the counters with the daemon's state. Its methods may be
// called from any goroutine.
type Metrics struct {
	registry *prometheus.Registry

	knocks   *prometheus.CounterVec
	ended    prometheus.Counter
	repairs  *prometheus.CounterVec
	reloads  *prometheus.CounterVec
	reloadOK prometheus.Gauge
	reloaded prometheus.Gauge
	overload prometheus.Counter
}

// The names of results in labels.
const (
	granted  = "granted"
	refused  = "refused"
	failed   = "failed" // valid, but it could not be granted
	done     = "ok"
	nothing  = "" // no reason
	allFails = "failed"
)

// New makes metrics of a daemon. state is called at each scrape, in the goroutine of the
// scrape, and must not wait for the gate or the disk.
func New(state func() State) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		knocks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nftknock_knocks_total",
			Help: "Knocks that were decided, by access, result (granted, refused, failed) and reason (the code in the log).",
		}, []string{"access", "result", "reason"}),
		ended: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nftknock_grants_ended_total", Help: "Grants that ended: by their timeout, a command or a change of the policy.",
		}),
		repairs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nftknock_table_rebuilds_total", Help: "How often the table was restored after another process changed it, by result.",
		}, []string{"result"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "nftknock_reloads_total", Help: "Reloads of the policy, by result.",
		}, []string{"result"}),
		reloadOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "nftknock_last_reload_success", Help: "1 if the last reload succeeded, or if there was none.",
		}),
		reloaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "nftknock_last_reload_success_timestamp_seconds", Help: "When a policy last came into force, as Unix time.",
		}),
		overload: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "nftknock_overloads_total", Help: "Periods of 10 s in which knocks were not checked against every key.",
		}),
	}
	m.reloadOK.Set(1)
	// A series that is missing cannot be told from one that is 0: all are there from the start.
	for _, v := range []*prometheus.CounterVec{m.repairs, m.reloads} {
		v.WithLabelValues(done)
		v.WithLabelValues(allFails)
	}
	m.registry.MustRegister(m.knocks, m.ended, m.repairs, m.reloads, m.reloadOK, m.reloaded, m.overload,
		asked{state}, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Consume implements event.Consumer. It waits for nothing but the lock of a map.
func (m *Metrics) Consume(r event.Record) {
	switch e := r.Event.(type) {
	case event.Granted:
		// One knock may open several services: each is an event, and the knock counts once,
		// as KnockMatched.
	case event.KnockMatched:
		m.knock(e.Access, granted, nothing)
	case event.Refused:
		m.knock(e.Access, refused, string(e.Code))
	case event.GrantFailed:
		m.knock(e.Access, failed, "table")
	case event.Unrecorded:
		m.knock(e.Access, failed, "store")
	case event.Ended, event.EndedEarly:
		m.ended.Inc()
	case event.Repaired:
		m.repairs.WithLabelValues(done).Inc()
	case event.RepairFailed:
		m.repairs.WithLabelValues(allFails).Inc()
	case event.Ready:
		m.reloaded.Set(unix(r.Time))
	case event.Reloaded:
		m.reloads.WithLabelValues(done).Inc()
		m.reloadOK.Set(1)
		m.reloaded.Set(unix(r.Time))
	case event.ReloadFailed:
		m.reloads.WithLabelValues(allFails).Inc()
		m.reloadOK.Set(0)
	case event.Overload:
		m.overload.Inc()
	}
}

func (m *Metrics) knock(access, result, reason string) {
	m.knocks.WithLabelValues(access, result, reason).Inc()
}

func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// asked collects the metrics that are made of a State.
type asked struct{ state func() State }

var (
	ready     = prometheus.NewDesc("nftknock_ready", "1 if knocks are heard.", nil, nil)
	condition = prometheus.NewDesc("nftknock_condition",
		"1 if something is wrong now: the policy of the files is not in force, an NFLOG group or the store cannot be opened, and so on. \"nftknockd status\" says what.",
		[]string{"name"}, nil)
	accesses = prometheus.NewDesc("nftknock_accesses", "Accesses of the policy in force that are enabled.", nil, nil)
	packets  = prometheus.NewDesc("nftknock_packets_total", "Packets that were read from an NFLOG group.", []string{"group"}, nil)
	lost     = prometheus.NewDesc("nftknock_packets_lost_total", "Packets of an NFLOG group that were not read in time.", []string{"group"}, nil)
)

// Describe implements prometheus.Collector.
func (asked) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{ready, condition, accesses, packets, lost} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (a asked) Collect(c chan<- prometheus.Metric) {
	s := a.state()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(ready, truth(s.Ready))
	gauge(accesses, float64(s.Accesses))
	for name, so := range s.Conditions {
		gauge(condition, truth(so), name)
	}
	for _, w := range s.Workers {
		group := strconv.Itoa(int(w.Group))
		c <- prometheus.MustNewConstMetric(packets, prometheus.CounterValue, float64(w.Packets), group)
		c <- prometheus.MustNewConstMetric(lost, prometheus.CounterValue, float64(w.Lost), group)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
