package starters

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
	"github.com/sirupsen/logrus"

	"github.com/trueup-orders/trueup/activities/crm/hubspot"
	"github.com/trueup-orders/trueup/activities/payment/stripe"
	"github.com/trueup-orders/trueup/starters/connect"
)

// Settings are the gateway's, from environment variables: the prefix TRUEUP_
// and the names of the fields, as in TRUEUP_GATEWAY_LISTEN. The engine's own are
// TEMPORAL_ADDRESS and its kin. All are read as text, so that every problem can
// be named at once and not only the first.
type Settings struct {
	Gateway GatewaySettings
	Stripe  StripeSettings
	HubSpot HubSpotSettings
	Log     LogSettings
	// Channel marks records in the systems as ours.
	Channel string `default:"shop"`
}

// GatewaySettings say where the gateway listens.
type GatewaySettings struct {
	// Listen is a loopback address and a port.
	Listen string `default:"127.0.0.1:8088"`
	// PublicURL is how the providers of webhooks reach us, without the path;
	// HubSpot signs it. Empty: http:// and Listen.
	PublicURL string `split_words:"true"`
}

// StripeSettings are what Stripe's webhooks need. The key only reads: an event
// about a dispute or a review does not say whose order it is about.
type StripeSettings struct {
	WebhookSecrets []string `split_words:"true"` // several while one replaces another
	URL            string   // empty: Stripe itself
	Key            string
	Account        string
	Live           string `default:"false"`
}

// HubSpotSettings are what HubSpot's webhooks need. The token only reads: an
// event says which record changed and never whose order it belongs to.
type HubSpotSettings struct {
	WebhookSecrets []string `split_words:"true"`
	URL            string   `default:"https://api.hubapi.com"`
	Token          string
}

// LogSettings say what is logged and how.
type LogSettings struct {
	Level  string `default:"info"`
	Format string `default:"text"`
}

// ReadSettings reads the settings from the environment. Its error names all that
// is missing, wrong or contradicts something else.
func ReadSettings() (Settings, error) {
	var s Settings
	if err := envconfig.Process("TRUEUP", &s); err != nil {
		return Settings{}, fmt.Errorf("read the settings from the environment: %w", err)
	}
	s.Stripe.WebhookSecrets, s.HubSpot.WebhookSecrets = present(s.Stripe.WebhookSecrets), present(s.HubSpot.WebhookSecrets)
	s.Gateway.PublicURL = strings.TrimRight(s.Gateway.PublicURL, "/")
	if s.Gateway.PublicURL == "" {
		s.Gateway.PublicURL = "http://" + s.Gateway.Listen
	}
	if s.HubSpot.URL == "" { // set, and empty
		s.HubSpot.URL = "https://api.hubapi.com"
	}
	return s, s.Validate()
}

// present drops the blanks that a list in one variable brings along.
func present(all []string) []string {
	var kept []string
	for _, s := range all {
		if s = strings.TrimSpace(s); s != "" {
			kept = append(kept, s)
		}
	}
	return kept
}

// Validate names everything that is wrong with the settings at once.
func (s Settings) Validate() error {
	var problems []error
	add := func(name, format string, a ...any) {
		problems = append(problems, fmt.Errorf("TRUEUP_"+name+" "+format, a...))
	}
	if err := Loopback(s.Gateway.Listen); err != nil {
		add("GATEWAY_LISTEN", "%w", err)
	}
	if !isURL(s.Gateway.PublicURL) {
		add("GATEWAY_PUBLIC_URL", "is not an http or https address without query")
	}
	if _, _, err := connect.Logger(s.Log.Level, ""); err != nil {
		add("LOG_LEVEL", "is wrong: %w", err)
	}
	if _, _, err := connect.Logger("", s.Log.Format); err != nil {
		add("LOG_FORMAT", "is wrong: %w", err)
	}
	if strings.TrimSpace(s.Channel) == "" {
		add("CHANNEL", "is empty")
	}
	s.Stripe.validate(add)
	s.HubSpot.validate(add)
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("the settings are not complete:\n%w", errors.Join(problems...))
}

func (s StripeSettings) validate(add func(name, format string, a ...any)) {
	live, err := strconv.ParseBool(s.Live)
	if err != nil {
		add("STRIPE_LIVE", "is %q; want true or false", s.Live)
	}
	if len(s.WebhookSecrets) == 0 {
		return // no webhooks: the rest belongs to the workers, who check it
	}
	short(s.WebhookSecrets, 24, func(n, least int) {
		add("STRIPE_WEBHOOK_SECRETS", "has a secret (number %d) of less than %d characters", n, least)
	})
	if s.Key == "" {
		add("STRIPE_KEY", "is missing, but TRUEUP_STRIPE_WEBHOOK_SECRETS is set: a dispute's event does not say whose order it is about, so it has to be read")
	}
	if s.URL != "" && !isURL(s.URL) {
		add("STRIPE_URL", "is not an http or https address")
	}
	if s.Account != "" && !strings.HasPrefix(s.Account, "acct_") {
		add("STRIPE_ACCOUNT", `does not begin with "acct_"`)
	}
	if err == nil && (strings.Contains(s.Key, "_live_") && !live || strings.Contains(s.Key, "_test_") && live) {
		add("STRIPE_LIVE", "is %t, but TRUEUP_STRIPE_KEY is for the other mode", live)
	}
}

func (s HubSpotSettings) validate(add func(name, format string, a ...any)) {
	if len(s.WebhookSecrets) == 0 {
		return
	}
	short(s.WebhookSecrets, 16, func(n, least int) {
		add("HUBSPOT_WEBHOOK_SECRETS", "has a secret (number %d) of less than %d characters", n, least)
	})
	if s.Token == "" {
		add("HUBSPOT_TOKEN", "is missing, but TRUEUP_HUBSPOT_WEBHOOK_SECRETS is set: HubSpot's events do not say whose order they are about, so it has to be read")
	}
	if !isURL(s.URL) {
		add("HUBSPOT_URL", "is not an http or https address")
	}
}

func short(secrets []string, least int, say func(n, least int)) {
	for i, s := range secrets {
		if len(s) < least {
			say(i+1, least)
		}
	}
}

func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && u.RawQuery == "" && u.Fragment == "" && u.User == nil
}

// Loopback returns why an address to listen on is refused: nil only when nobody
// but this machine can reach it.
func Loopback(listen string) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("is %q; want a loopback address and a port, as 127.0.0.1:8088", listen)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("is %q; %q is not a port", listen, port)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return nil
	}
	// A name is refused too, localhost included: what it means is decided elsewhere.
	return fmt.Errorf("is %q, which is not a loopback address: until there are identities whoever reaches the gateway may cancel orders, "+
		"so it listens on 127.0.0.1 or [::1] only; put a proxy that knows who is calling in front of it", listen)
}

// webhooks makes what the settings allow. The adapters only read here, so how
// deals are laid out does not matter.
func (s Settings) webhooks(now func() time.Time, log *logrus.Logger) ([]Webhook, error) {
	var all []Webhook
	if len(s.Stripe.WebhookSecrets) > 0 {
		live, _ := strconv.ParseBool(s.Stripe.Live) // Validate has refused anything else
		reader, err := stripe.New(stripe.Config{
			APIKey: s.Stripe.Key, BaseURL: s.Stripe.URL, Account: s.Stripe.Account, LiveMode: live, Channel: s.Channel, Now: now, Timeout: webhookPatience,
		})
		if err != nil {
			return nil, err
		}
		all = append(all, StripeWebhook{
			Secrets: s.Stripe.WebhookSecrets, Account: s.Stripe.Account, Live: live, OrderOf: reader.OrderOf, Log: log,
		}.Webhook())
	}
	if len(s.HubSpot.WebhookSecrets) > 0 {
		reader, err := hubspot.New(hubspot.Config{
			BaseURL: s.HubSpot.URL, Token: s.HubSpot.Token, Channel: s.Channel, Now: now, Timeout: webhookPatience,
			Pipeline: "default", OpenStage: "open", WonStage: "won", LostStage: "lost", AbandonedStage: "abandoned",
		})
		if err != nil {
			return nil, err
		}
		all = append(all, HubSpotWebhook{
			Secrets: s.HubSpot.WebhookSecrets, PublicURL: s.Gateway.PublicURL, OrdersOf: reader.OrdersOf,
		}.Webhook())
	}
	return all, nil
}
