package starters_test

import (
	"os"
	"strings"
	"testing"

	"github.com/trueup-orders/trueup/starters"
)

// environment replaces every TRUEUP_ variable.
func environment(t *testing.T, set ...string) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "TRUEUP_") {
			t.Setenv(name, "") // remembers it
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := 0; i < len(set); i += 2 {
		t.Setenv(set[i], set[i+1])
	}
}

func TestReadSettings_Nothing_OrdersAloneOnLoopback(t *testing.T) {
	environment(t, "LISTEN", "0.0.0.0:1", "KEY", "x", "URL", "x") // names without the prefix are somebody else's
	s, err := starters.ReadSettings()
	if err != nil || s.Gateway.Listen != "127.0.0.1:8088" || s.Gateway.PublicURL != "http://127.0.0.1:8088" || s.Stripe.Key != "" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestReadSettings_Complete(t *testing.T) {
	environment(t,
		"TRUEUP_GATEWAY_LISTEN", "[::1]:9000", "TRUEUP_GATEWAY_PUBLIC_URL", "https://shop.example.test/",
		"TRUEUP_STRIPE_WEBHOOK_SECRETS", stripeSecret+", "+stripeNext+",", "TRUEUP_STRIPE_KEY", "rk_test_1", "TRUEUP_STRIPE_ACCOUNT", "acct_1",
		"TRUEUP_HUBSPOT_WEBHOOK_SECRETS", hubspotSecret, "TRUEUP_HUBSPOT_TOKEN", "pat-1", "TRUEUP_LOG_FORMAT", "json", "TRUEUP_LOG_LEVEL", "debug")
	s, err := starters.ReadSettings()
	if err != nil || len(s.Stripe.WebhookSecrets) != 2 || s.Stripe.WebhookSecrets[1] != stripeNext || s.Gateway.PublicURL != publicURL || s.HubSpot.URL == "" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestReadSettings_EveryProblemIsNamedAtOnceAndNoSecretIsShown(t *testing.T) {
	environment(t,
		"TRUEUP_GATEWAY_LISTEN", "0.0.0.0:8088", "TRUEUP_GATEWAY_PUBLIC_URL", "shop.example.test", "TRUEUP_CHANNEL", " ",
		"TRUEUP_STRIPE_WEBHOOK_SECRETS", "tooshort", "TRUEUP_STRIPE_LIVE", "perhaps", "TRUEUP_STRIPE_URL", "ftp://x", "TRUEUP_STRIPE_ACCOUNT", "x",
		"TRUEUP_HUBSPOT_WEBHOOK_SECRETS", "tooshort", "TRUEUP_HUBSPOT_URL", "nowhere", "TRUEUP_LOG_LEVEL", "loud", "TRUEUP_LOG_FORMAT", "xml")
	_, err := starters.ReadSettings()
	if err == nil {
		t.Fatal("no error")
	}
	for _, name := range []string{
		"GATEWAY_LISTEN", "GATEWAY_PUBLIC_URL", "CHANNEL", "STRIPE_WEBHOOK_SECRETS", "STRIPE_LIVE", "STRIPE_URL", "STRIPE_ACCOUNT", "STRIPE_KEY",
		"HUBSPOT_WEBHOOK_SECRETS", "HUBSPOT_TOKEN", "HUBSPOT_URL", "LOG_LEVEL", "LOG_FORMAT", "until there are identities",
	} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "tooshort") {
		t.Errorf("a secret is shown: %v", err)
	}
}

func TestReadSettings_KeyOfTheOtherMode(t *testing.T) {
	environment(t, "TRUEUP_STRIPE_WEBHOOK_SECRETS", stripeSecret, "TRUEUP_STRIPE_KEY", "rk_live_1")
	if _, err := starters.ReadSettings(); err == nil || !strings.Contains(err.Error(), "other mode") || strings.Contains(err.Error(), "rk_live_1") {
		t.Errorf("error %v", err)
	}
}
