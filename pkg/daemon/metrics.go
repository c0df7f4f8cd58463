package daemon

import (
	"context"
	"time"

	"nftknock/pkg/event"
	"nftknock/pkg/metrics"
)

// metricsPause is the time between a failure of the metrics and the next attempt to serve
// them.
const metricsPause = 5 * time.Second

// countEvents counts events from now on, until the function that it returns is called. It does
// nothing if the policy wants no metrics.
func (d *Daemon) countEvents() (stop func()) {
	if d.config.Policy.Metrics.Listen == "" || d.events == nil {
		return func() {}
	}
	d.metrics = metrics.New(d.metricsState)
	return d.events.Attach(d.metrics)
}

// serveMetrics serves the metrics at an address until ctx is done. After an error it reports
// that, once until it is over, and tries again.
func (d *Daemon) serveMetrics(ctx context.Context, address string) {
	told := ""
	for {
		listener, err := metrics.Listen(address)
		if err == nil {
			if told != "" {
				d.events.Emit(event.MetricsRecovered{})
				d.setCondition(conditionMetrics, "")
				told = ""
			}
			if err = d.metrics.Serve(ctx, listener); err == nil {
				return
			}
		}
		if told != err.Error() {
			told = err.Error()
			d.events.Emit(event.MetricsFailed{Err: err})
			d.setCondition(conditionMetrics, told)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(metricsPause):
		}
	}
}

// metricsState is what the metrics ask for at each scrape, after Ready.
func (d *Daemon) metricsState() metrics.State {
	s := d.state()
	m := metrics.State{Ready: s.Ready, Accesses: s.Accesses, Conditions: make(map[string]bool)}
	for _, name := range allConditions {
		m.Conditions[name] = d.conditions.has(name)
	}
	for _, w := range d.workers {
		stats := w.source.Stats()
		m.Workers = append(m.Workers, metrics.Worker{Group: w.group, Packets: stats.Packets, Lost: stats.Lost})
	}
	return m
}
