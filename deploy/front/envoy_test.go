package front

import (
	"errors"
	"os"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"github.com/goccy/go-yaml"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/types/known/anypb"
)

// envoyTakes reads a configuration as Envoy does: into its own messages, with
// their constraints, also those of its extensions.
func envoyTakes(text string) error {
	inJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return err
	}
	var b bootstrapv3.Bootstrap
	if err := protojson.Unmarshal(inJSON, &b); err != nil {
		return err
	}
	return constraints(&b)
}

// constraints returns what a message, and the messages in it, must not be.
func constraints(m proto.Message) error {
	var errs []error
	if v, ok := m.(interface{ ValidateAll() error }); ok {
		errs = append(errs, v.ValidateAll())
	}
	return errors.Join(append(errs, protorange.Range(m.ProtoReflect(), func(p protopath.Values) error {
		message, ok := p.Index(-1).Value.Interface().(interface{ Interface() proto.Message })
		if !ok {
			return nil
		}
		packed, ok := message.Interface().(*anypb.Any)
		if !ok {
			return nil
		}
		inner, err := packed.UnmarshalNew()
		if err == nil {
			err = constraints(inner)
		}
		if err != nil {
			return err
		}
		return protorange.Break
	}))...)
}

// TestEnvoyFollowsItsSchema stands for a run of Envoy, which Debian does not have.
func TestEnvoyFollowsItsSchema(t *testing.T) {
	b, err := os.ReadFile("envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	if err := envoyTakes(text); err != nil {
		t.Error(err)
	}
	// And the check can fail.
	for old, bad := range map[string]string{
		"stream_idle_timeout":       "stream_idle_time",
		"codec_type: HTTP3":         "codec_type: HTTP4",
		"type: STATIC":              "type: STATICAL",
		"connect_timeout: 5s":       "connect_timeout: 0s",
		"stat_prefix: clients_quic": "stat_prefix: ''",
		"port_value: 8080":          "port_value: 80800",
		"router.v3.Router":          "router.v3.Rooter",
	} {
		if !strings.Contains(text, old) {
			t.Errorf("envoy.yaml does not contain %q", old)
		}
		if envoyTakes(strings.ReplaceAll(text, old, bad)) == nil {
			t.Errorf("%s passes", bad)
		}
	}
}
