package workers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/trueup-orders/trueup/workers"
)

const casesSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func TestRead_WhereCasesAreAnnounced(t *testing.T) {
	for _, c := range []struct {
		name, url, secret string
		says              []string // none: it is right
	}{
		{"nowhere", "", "", nil},
		{"right", "https://alerts.example.com/hook", casesSecret, nil},
		{"two secrets", "https://alerts.example.com/hook", casesSecret + ", " + casesSecret, nil},
		{"a secret and no address", "", casesSecret, []string{"TRUEUP_CASES_URL is missing"}},
		{"an address and no secret", "https://alerts.example.com/hook", "", []string{"TRUEUP_CASES_SECRET is missing"}},
		{"all wrong", "http://alerts.example.com", "sesame", []string{"TRUEUP_CASES_URL is http", "TRUEUP_CASES_SECRET number 1", "TRUEUP_PARALLEL"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("TRUEUP_CASES_URL", c.url)
			t.Setenv("TRUEUP_CASES_SECRET", c.secret)
			t.Setenv("TRUEUP_PARALLEL", "20")
			if len(c.says) > 2 {
				t.Setenv("TRUEUP_PARALLEL", "0")
			}
			_, err := workers.Read()
			if (err == nil) != (len(c.says) == 0) {
				t.Errorf("the error is %v", err)
			}
			for _, says := range c.says {
				if err != nil && !strings.Contains(err.Error(), says) {
					t.Errorf("%q does not say %q", err, says)
				}
			}
		})
	}
}

// What is older than the engine's memory must be known to be: an order that the engine
// has forgotten is looked up before anything is done.
func TestConfig_Remembered_NoLongerThanTheEngineDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ours, kept time.Duration
		refused    bool
	}{
		{720 * time.Hour, 72 * time.Hour, true}, {720 * time.Hour, 720 * time.Hour, false},
		{72 * time.Hour, 720 * time.Hour, false}, {720 * time.Hour, 0, false}, // it did not say
	} {
		err := workers.Config{Retention: c.ours}.Remembered(c.kept)
		if (err != nil) != c.refused || err != nil && !strings.Contains(err.Error(), "TRUEUP_RETENTION is 720h0m0s, and the engine's namespace keeps closed workflows for 72h0m0s") {
			t.Errorf("%s of %s: %v", c.ours, c.kept, err)
		}
	}
}
