// Package workers wires the workflows, the activities and the adapters of the
// six systems into a process that serves the engine's task queues.
package workers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/kelseyhightower/envconfig"

	"github.com/trueup-orders/trueup/activities/announce"
	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/workflows"
)

// Config is what an operator sets, by environment variables with the prefix
// TRUEUP_ and the fields' names, as TRUEUP_MAIL_SHOP_NAME for Mail.ShopName. The
// fields have no names of their own in their tags: the library would then also
// take the variable without the prefix, and USER is set everywhere. The engine's own connection settings are
// TEMPORAL_ADDRESS and its kin.
type Config struct {
	// Policy is the policy file; empty is the built-in one, which reports and
	// repairs nothing.
	Policy string `split_words:"true"`
	// Channel marks records in the systems as ours.
	Channel string `split_words:"true" default:"shop"`

	Retention      time.Duration `split_words:"true" default:"720h"`
	FollowEvery    time.Duration `split_words:"true" default:"15s"`
	ReconcileEvery time.Duration `split_words:"true" default:"15m"`
	// SweepEvery is how often it is looked for sealed days to sweep, SweepAgain at
	// which ages, in days, a day is swept again; SweepSpan is how long after a day
	// records of its orders are listed rather than looked up one by one.
	SweepEvery     time.Duration `split_words:"true" default:"6h"`
	SweepAgain     []int         `split_words:"true" default:"3,7,30"`
	SweepSpan      time.Duration `split_words:"true" default:"72h"`
	SweepShard     int           `split_words:"true" default:"50000"`
	SweepPerSecond float64       `split_words:"true" default:"20"`
	// RunPerSecond bounds the calls of one run to each system, also to rehearse and to
	// confirm; 0 sets no rate.
	RunPerSecond float64       `split_words:"true" default:"40"`
	Linger       time.Duration `split_words:"true" default:"5m"`
	FreshFor     time.Duration `split_words:"true" default:"2s"`
	BudgetCount  int           `split_words:"true" default:"200"`
	BudgetMoney  int64         `split_words:"true" default:"10000000"`
	// Since is the moment before which runs judge nothing: orders placed and records
	// made earlier are left alone. Empty is when this installation first started.
	Since Moment `split_words:"true"`
	// So many orders at least, and more than this share of those that a run looked
	// at, or more than the most, with the same trouble are one incident.
	IncidentOrders  int `split_words:"true" default:"10"`
	IncidentPercent int `split_words:"true" default:"30"`
	IncidentMost    int `split_words:"true" default:"50"`
	// CanaryOrder is the id of an order of the operator's own, in whose CRM deal a
	// break is planted every PlantEvery; without one, or with 0, none is.
	CanaryOrder string        `split_words:"true"`
	PlantEvery  time.Duration `split_words:"true" default:"1h"`
	// MetricsListen is where metrics are served, as 127.0.0.1:9464; empty: nowhere.
	MetricsListen string `split_words:"true"`
	// Parallel bounds the calls that one worker makes to one system at a time,
	// PerSecond those of all workers together; 0 sets no rate.
	Parallel  int     `split_words:"true" default:"20"`
	PerSecond float64 `split_words:"true"`

	Stripe    Stripe
	Medusa    Medusa
	Warehouse Tryton
	ERP       Tryton
	HubSpot   HubSpot
	Mail      MailRelay
	Cases     Cases
}

// Cases is where cases are announced besides the log.
type Cases struct {
	URL string `split_words:"true"` // empty: nowhere
	// Secret signs; several while one replaces another.
	Secret []string `split_words:"true"`
	// Transport is nil but where a test brings its own.
	Transport http.RoundTripper `ignored:"true" json:"-"`
}

// Moment is a time as RFC 3339 writes it; empty is none.
type Moment struct{ time.Time }

// UnmarshalText reads a moment.
func (m *Moment) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*m = Moment{}
		return nil
	}
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is no moment as 2026-03-02T09:00:00Z", text)
	}
	m.Time = at
	return nil
}

// Stripe is the payment gateway.
type Stripe struct {
	URL       string `split_words:"true"` // empty: Stripe itself
	Key       string `split_words:"true"`
	Account   string `split_words:"true"`
	Live      bool   `split_words:"true"`
	ReturnURL string `split_words:"true"`
	// Blind leaves out the look-up for a payment of the checkout's before an order
	// is charged; for services that always name it.
	Blind bool `split_words:"true"`
}

// Medusa is the inventory.
type Medusa struct {
	URL      string `split_words:"true"`
	Email    string `split_words:"true"`
	Password string `split_words:"true"`
	Key      string `split_words:"true"`
	Location string `split_words:"true"`
}

// Tryton is the warehouse or the ERP; the URL names the database too.
type Tryton struct {
	URL      string `split_words:"true"`
	User     string `split_words:"true"`
	Password string `split_words:"true"`
}

// HubSpot is the CRM.
type HubSpot struct {
	URL            string `split_words:"true"` // empty: HubSpot itself
	Token          string `split_words:"true"`
	Pipeline       string `split_words:"true" default:"default"`
	OpenStage      string `split_words:"true" default:"checkoutpending"`
	WonStage       string `split_words:"true" default:"closedwon"`
	LostStage      string `split_words:"true" default:"closedlost"`
	AbandonedStage string `split_words:"true" default:"abandonedcart"`
}

// MailRelay is the mail provider and the journal mailbox.
type MailRelay struct {
	SMTP         string `split_words:"true"` // host:port
	SMTPSecurity string `split_words:"true"`
	User         string `split_words:"true"`
	Password     string `split_words:"true"`
	CA           string `split_words:"true"` // a PEM file trusted besides the machine's
	From         string `split_words:"true"`
	ShopName     string `split_words:"true" default:"Shop"`
	Journal      string `split_words:"true"`
	IMAP         string `split_words:"true"` // host:port; empty: no journal
	IMAPSecurity string `split_words:"true"`
	IMAPUser     string `split_words:"true"`
	IMAPPassword string `split_words:"true"`
	// Dial is nil but where a test brings its own.
	Dial          func(ctx context.Context, network, address string) (net.Conn, error) `ignored:"true" json:"-"`
	VisibilityLag time.Duration                                                        `split_words:"true" default:"15s"`
	// Lateness is how long after a lost answer a message may still be accepted.
	Lateness time.Duration `split_words:"true" default:"10m"`
}

// Read reads the configuration from the environment.
func Read() (Config, error) {
	var c Config
	if err := envconfig.Process("TRUEUP", &c); err != nil {
		return Config{}, fmt.Errorf("read the settings from the environment: %w", err)
	}
	return c, c.validate()
}

// Remembered refuses a retention that is longer than the engine keeps closed workflows:
// an order that it has forgotten meanwhile would be taken for a new one, and be paid twice.
func (c Config) Remembered(kept time.Duration) error {
	if kept > 0 && c.Retention > kept {
		return fmt.Errorf("TRUEUP_RETENTION is %s, and the engine's namespace keeps closed workflows for %s; set it to that at most, or let the namespace keep them longer", c.Retention, kept)
	}
	return nil
}

// validate names everything that is missing or contradicts itself at once. What
// belongs to one system is named by its adapter when it is made.
func (c Config) validate() error {
	var problems []error
	positive := func(name string, d time.Duration) {
		if d <= 0 {
			problems = append(problems, fmt.Errorf("TRUEUP_%s is %s; it must be positive", name, d))
		}
	}
	positive("RETENTION", c.Retention)
	positive("FOLLOW_EVERY", c.FollowEvery)
	positive("LINGER", c.Linger)
	if c.ReconcileEvery < 0 || c.ReconcileEvery > 0 && c.ReconcileEvery < 10*time.Second {
		problems = append(problems, fmt.Errorf("TRUEUP_RECONCILE_EVERY is %s; it must be 0 (no schedule) or at least 10s", c.ReconcileEvery))
	}
	problems = append(problems, c.sweepProblems()...)
	if _, err := order.ParseID(c.CanaryOrder); c.CanaryOrder != "" && err != nil {
		problems = append(problems, fmt.Errorf("TRUEUP_CANARY_ORDER is %q, which %w", c.CanaryOrder, err))
	}
	if c.PlantEvery < 0 || c.PlantEvery > 0 && c.PlantEvery < leastPlant {
		problems = append(problems, fmt.Errorf("TRUEUP_PLANT_EVERY is %s; it must be 0 (none is planted) or at least %s", c.PlantEvery, leastPlant))
	}
	if _, _, err := net.SplitHostPort(c.MetricsListen); c.MetricsListen != "" && err != nil {
		problems = append(problems, fmt.Errorf("TRUEUP_METRICS_LISTEN is %q; want an address and a port, as 127.0.0.1:9464", c.MetricsListen))
	}
	if c.PerSecond < 0 || c.FreshFor < 0 || c.RunPerSecond < 0 {
		problems = append(problems, errors.New("TRUEUP_PER_SECOND, TRUEUP_RUN_PER_SECOND and TRUEUP_FRESH_FOR must not be negative; 0 sets no rate, and lets nothing pass for fresh"))
	}
	if c.Parallel < 1 {
		problems = append(problems, errors.New("TRUEUP_PARALLEL must be at least 1"))
	}
	if c.BudgetCount < 0 || c.BudgetMoney < 0 {
		problems = append(problems, errors.New("TRUEUP_BUDGET_COUNT and TRUEUP_BUDGET_MONEY must not be negative"))
	}
	if _, err := c.receiver(nil); err != nil {
		problems = append(problems, err)
	}
	if c.IncidentOrders < 1 || c.IncidentMost < 1 || c.IncidentPercent < 1 || c.IncidentPercent > 100 {
		problems = append(problems, errors.New("TRUEUP_INCIDENT_ORDERS and TRUEUP_INCIDENT_MOST must be at least 1, and TRUEUP_INCIDENT_PERCENT 1 to 100"))
	}
	return errors.Join(problems...)
}

// leastPlant leaves a run the time to find a planted break before the next.
const leastPlant = 30 * time.Minute

// plantable refuses to plant breaks so often that their repairs look like two
// writers who fight.
func (c Config) plantable(p reconcile.Policy) error {
	if c.CanaryOrder != "" && c.PlantEvery > 0 && c.PlantEvery <= p.CoolDown {
		return fmt.Errorf("TRUEUP_PLANT_EVERY is %s; it must be longer than the policy's cool_down (%s), within which a second repair is taken for a fight", c.PlantEvery, p.CoolDown)
	}
	return nil
}

// receiver is where cases are announced, or nil for the log alone.
func (c Config) receiver(now func() time.Time) (*announce.Receiver, error) {
	switch {
	case c.Cases.URL != "":
		return announce.New(c.Cases.URL, c.Cases.Secret, c.Cases.Transport, now)
	case len(c.Cases.Secret) > 0:
		return nil, errors.New("TRUEUP_CASES_URL is missing, but TRUEUP_CASES_SECRET is set")
	}
	return nil, nil
}

// policy reads the policy file.
func (c Config) policy() (reconcile.Policy, error) {
	if c.Policy == "" {
		return reconcile.Default(), nil
	}
	data, err := os.ReadFile(c.Policy)
	if err != nil {
		return reconcile.Policy{}, fmt.Errorf("TRUEUP_POLICY: %w", err)
	}
	p, err := reconcile.Parse(data)
	if err != nil {
		return reconcile.Policy{}, fmt.Errorf("TRUEUP_POLICY: %s: %w", c.Policy, err)
	}
	return p, nil
}

// thresholds say when many breaks are one incident; what is not set is as usual.
func (c Config) thresholds() reconcile.Thresholds {
	usual := reconcile.DefaultThresholds()
	return reconcile.Thresholds{
		Orders: cmp.Or(c.IncidentOrders, usual.Orders), Percent: cmp.Or(c.IncidentPercent, usual.Percent), Most: cmp.Or(c.IncidentMost, usual.Most),
	}
}

// settings are what the workflows are told.
func (c Config) settings(policy reconcile.Policy, systems *Systems) workflows.Settings {
	s := workflows.Settings{
		Policy: policy, Retention: c.Retention, FollowEvery: c.FollowEvery, Linger: c.Linger, FreshFor: c.FreshFor,
		// About five minutes of polling in one activity: few events on an idle day.
		FollowPolls: max(1, int(5*time.Minute/c.FollowEvery)),
		Budget:      reconcile.Budget{Count: c.BudgetCount, Money: c.BudgetMoney},
	}
	if c.CanaryOrder != "" && c.PlantEvery > 0 {
		s.Canary, s.PlantEvery = order.ID(c.CanaryOrder), c.PlantEvery
	}
	for _, system := range order.Systems() {
		abilities := systems.Abilities(system)
		s.Abilities = append(s.Abilities, workflows.SystemAbilities{System: system, Abilities: abilities})
		if !abilities.Announces {
			s.Followed = append(s.Followed, system)
		}
	}
	return s
}
