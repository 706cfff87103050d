package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

	"go.temporal.io/sdk/contrib/envconfig"
)

type variables map[string]string

func (v variables) Environ() []string { return nil }

func (v variables) LookupEnv(name string) (string, bool) {
	value, ok := v[name]
	return value, ok
}

func TestEngine_NobodyThere_SaysWhereAndWhatToDo(t *testing.T) {
	t.Parallel()
	var listening net.ListenConfig
	listener, err := listening.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil { // nobody listens there now
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err = dial(ctx, slog.New(slog.DiscardHandler), envconfig.LoadClientOptionsRequest{
		DisableFile: true, EnvLookup: variables{"TEMPORAL_ADDRESS": address, "TEMPORAL_NAMESPACE": "orders"},
	}, nil)
	if !errors.Is(err, ErrUnreachable) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{address, "orders", "TEMPORAL_ADDRESS", "temporal.toml"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestEngine_ProfileUnknown_SaysWhichSettings(t *testing.T) {
	t.Parallel()
	_, err := dial(t.Context(), slog.Default(), envconfig.LoadClientOptionsRequest{
		ConfigFileData: []byte("[profile.default]\n"), EnvLookup: variables{"TEMPORAL_PROFILE": "none"},
	}, nil)
	if err == nil || errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "TEMPORAL_PROFILE") {
		t.Errorf("error %v", err)
	}
}

func TestLogger(t *testing.T) {
	t.Parallel()
	log, forEngine, err := Logger("warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log.SetOutput(&out)
	forEngine.Info("not shown")
	forEngine.With("Namespace", "default").Warn("shown", "n", 1)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["msg"] != "shown" || line["Namespace"] != "default" || line["n"] != 1.0 || line["level"] != "warning" {
		t.Errorf("%s: %v", out.String(), err)
	}
	if _, _, err := Logger("loud", "xml"); err == nil || !strings.Contains(err.Error(), "loud") || !strings.Contains(err.Error(), "xml") {
		t.Errorf("error %v", err)
	}
}
