package proxy

import (
	"errors"
	"net"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"gemini-resilient-proxy/routing"
)

var errRedisURL = errors.New("must be redis://[USER:PASSWORD@]HOST[:PORT][/DB], rediss:// for TLS, or unix:///PATH; or off")

// noRedis is what one writes for no server.
const noRedis = "off"

// redisCodec takes what go-redis takes.
var redisCodec = codec{
	parse: func(c *Config, text string) error {
		if text == "" || text == noRedis {
			c.RedisURL = nil
			return nil
		}
		if options, err := redis.ParseURL(text); err != nil || options.Network != "unix" && !validAddress(options.Addr) {
			return errRedisURL
		}
		c.RedisURL = routing.Secret(text)
		return nil
	},
	format: func(c *Config) string {
		if len(c.RedisURL) == 0 {
			return noRedis
		}
		return string([]byte(c.RedisURL))
	},
}

// validAddress tells whether host:port can be connected to.
func validAddress(addr string) bool {
	_, port, err := net.SplitHostPort(addr)
	n, notNumber := strconv.ParseUint(port, 10, 16)
	return err == nil && notNumber == nil && n > 0
}

// shareMetrics tell how replicas get on with each other.
type shareMetrics struct {
	joined, replicas        prometheus.Gauge
	failures, heard, untold prometheus.Counter
	origins                 *prometheus.CounterVec
}

func newShareMetrics(m *metrics) *shareMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	}
	s := &shareMetrics{
		joined:   gauge("shared_joined", "1 while limits are shared with other replicas, 0 while this one goes on alone."),
		replicas: gauge("shared_replicas", "Replicas that share limits, this one included; 0 while it goes on alone."),
		failures: counter("shared_failures_total", "Times that the server of REDIS_URL did not answer as it should, or in time."),
		heard:    counter("shared_marks_total", "Keys and targets that were left out because another replica said so."),
		untold:   counter("shared_origins_dropped_total", "Times that other replicas were not told where something belongs, since too much was to be told."),
		origins: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: "shared_origins_total",
			Help: "Requests that asked other replicas where something belongs, by answer: found, unknown, none (no answer in time)."}, []string{"answer"}),
	}
	for _, answer := range []string{"found", "unknown", "none"} {
		s.origins.WithLabelValues(answer)
	}
	m.registry.MustRegister(s.joined, s.replicas, s.failures, s.heard, s.untold, s.origins)
	return s
}
