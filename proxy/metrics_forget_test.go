package proxy

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// TestGroupForgottenWhileItCounts: a group whose requests are over in the moment in
// which it is forgotten counts again when it comes again.
func TestGroupForgottenWhileItCounts(t *testing.T) {
	valueOf := func(c prometheus.Counter) float64 {
		var m dto.Metric
		if err := c.Write(&m); err != nil {
			t.Fatal(err)
		}
		return m.GetCounter().GetValue()
	}
	for range 200 {
		m := newMetrics([]string{"base", "late"})
		m.follow([]string{"base"})
		count := func() {
			c := m.countersOf("late")
			c.attempts.Inc()
			m.request(c, "late", kindRelay, 200).Inc()
		}
		count()
		stop, begun, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
		go func() {
			defer close(over)
			count()
			close(begun)
			for {
				select {
				case <-stop:
					return
				default:
					count()
				}
			}
		}()
		<-begun
		m.follow([]string{"base"})
		close(stop)
		<-over
		m.follow([]string{"base", "late"})
		attempts, requests := m.attempts.WithLabelValues("late"), m.requests.WithLabelValues("late", kindNames[kindRelay], codeClass(200))
		a, r := valueOf(attempts), valueOf(requests)
		count()
		if valueOf(attempts) != a+1 || valueOf(requests) != r+1 {
			t.Fatal("what the group counts is in no series")
		}
	}
}
