package connect

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("a scrape is answered %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// The SDK measures one name with several sets of tags.
func TestMetrics_OfTheSDK(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	h := m.MetricsHandler()
	h.Counter("temporal_request").Inc(1)
	erp := h.WithTags(map[string]string{"task_queue": "trueup-erp"})
	erp.Counter("temporal_request").Inc(2)
	erp.WithTags(map[string]string{"task_queue": "trueup-crm", "activity-type": "Record"}).Counter("temporal_request").Inc(3)
	erp.Counter("temporal_request").Inc(2)
	erp.Counter("temporal_request").Inc(-5) // a counter only grows
	h.Gauge("temporal_slots").Update(7)
	h.Timer("temporal_latency").Record(20 * time.Millisecond)
	h.WithTags(map[string]string{"system": "erp"}).Timer("trueup_break_repair").Record(2 * time.Hour)
	text := scrape(t, m)
	for _, line := range []string{
		"temporal_request_total 1\n", `temporal_request_total{task_queue="trueup-erp"} 4` + "\n",
		`temporal_request_total{activity_type="Record",task_queue="trueup-crm"} 3` + "\n", "temporal_slots 7\n",
		`temporal_latency_seconds_bucket{le="0.025"} 1` + "\n", `temporal_latency_seconds_bucket{le="0.01"} 0` + "\n",
		`trueup_break_repair_seconds_bucket{system="erp",le="3600"} 0` + "\n", `trueup_break_repair_seconds_bucket{system="erp",le="14400"} 1` + "\n",
		"go_goroutines",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is missing in\n%s", line, text)
		}
	}
}

func TestMetrics_Serve(t *testing.T) {
	t.Parallel()
	log := logrus.New()
	log.SetOutput(io.Discard)
	var listening net.ListenConfig
	taken, err := listening.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	if err := NewMetrics().Serve(t.Context(), taken.Addr().String(), log); err == nil {
		t.Error("a port that is taken was served")
	}
}
