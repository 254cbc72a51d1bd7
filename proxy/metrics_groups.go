package proxy

import (
	"github.com/prometheus/client_golang/prometheus"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// ofGroups returns the counters whose one label is the group and that are there
// from the start.
func (m *metrics) ofGroups() []*prometheus.CounterVec {
	return []*prometheus.CounterVec{
		m.healed, m.attempts, m.clientGone, m.wasted, m.ejections, m.keysEjected, m.keysParked, m.fallbacks, m.callEnds,
	}
}

// follow makes the series of the groups of a configuration, and forgets those of
// groups that were gone before it: groups that come and go must not make series
// without end. Those that are gone only now are kept until the next time, so that
// what they counted last is collected. One goroutine calls it at a time.
func (m *metrics) follow(groups []string) {
	if m.groups == nil {
		m.groups = map[string]bool{}
	}
	there := make(map[string]bool, len(groups))
	for _, g := range groups {
		there[g] = true
	}
	for g, gone := range m.groups {
		if gone && !there[g] {
			m.forget(g)
			delete(m.groups, g)
			continue
		}
		m.groups[g] = !there[g]
	}
	for g := range there {
		m.groups[g] = false
	}
	// A request that was over late has made the series of its group again.
	m.perGroup.Range(func(g, _ any) bool {
		if _, known := m.groups[g.(string)]; !known && g != "" {
			m.groups[g.(string)] = true
		}
		return true
	})
	m.prime(groups)
}

// forget removes the series of a group, one by one: a search for them would go
// through those of all others. A request of the group that is over meanwhile makes
// its counters before or after that, never of a series that is about to go: the
// group would count nothing any more when it came again.
func (m *metrics) forget(g string) {
	m.making.Lock()
	defer m.making.Unlock()
	m.perGroup.Delete(g)
	m.bytes.DeleteLabelValues(g)
	for _, vec := range m.ofGroups() {
		vec.DeleteLabelValues(g)
	}
	for _, reason := range gaveUpReasons {
		m.gaveUp.DeleteLabelValues(g, reason)
	}
	for _, o := range routing.Outcomes() {
		m.interruptions.DeleteLabelValues(g, o.String())
		m.shadow.DeleteLabelValues(g, o.String())
	}
	for _, kind := range kindNames {
		for _, code := range codeClasses {
			m.requests.DeleteLabelValues(g, kind, code)
		}
	}
}

// prime makes the series of all groups, so that a rate over the first
// interruption of a process is not lost.
func (m *metrics) prime(groups []string) {
	for _, reason := range refusedReasons {
		m.refused.WithLabelValues(reason)
	}
	for _, k := range stream.SeamKinds() {
		m.seams.WithLabelValues(k.String())
	}
	for _, g := range groups {
		for _, vec := range m.ofGroups() {
			vec.WithLabelValues(g)
		}
		for _, reason := range gaveUpReasons {
			m.gaveUp.WithLabelValues(g, reason)
		}
		for _, o := range routing.Outcomes() {
			if o.Interruption() {
				m.interruptions.WithLabelValues(g, o.String())
			}
		}
	}
}
