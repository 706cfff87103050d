// Package workers wires the workflows, the activities and the adapters of the
// six systems into a process that serves the engine's task queues.
package workers

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kelseyhightower/envconfig"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
	"github.com/trueup-orders/trueup/workflows"
)

// Config is what an operator sets, by environment variables with the prefix
// TRUEUP_ and the names given here. The engine's own connection settings are
// TEMPORAL_ADDRESS and its kin.
type Config struct {
	// Policy is the policy file; empty is the built-in one, which reports and
	// repairs nothing.
	Policy string `envconfig:"POLICY"`
	// Channel marks records in the systems as ours.
	Channel string `envconfig:"CHANNEL" default:"shop"`

	Retention      time.Duration `envconfig:"RETENTION" default:"720h"`
	FollowEvery    time.Duration `envconfig:"FOLLOW_EVERY" default:"15s"`
	ReconcileEvery time.Duration `envconfig:"RECONCILE_EVERY" default:"15m"`
	Linger         time.Duration `envconfig:"LINGER" default:"5m"`
	FreshFor       time.Duration `envconfig:"FRESH_FOR" default:"2s"`
	BudgetCount    int           `envconfig:"BUDGET_COUNT" default:"200"`
	BudgetMoney    int64         `envconfig:"BUDGET_MONEY" default:"10000000"`
	// Parallel bounds the calls that one worker makes to one system at a time,
	// PerSecond those of all workers together; 0 sets no rate.
	Parallel  int     `envconfig:"PARALLEL" default:"20"`
	PerSecond float64 `envconfig:"PER_SECOND"`

	Stripe    Stripe    `envconfig:"STRIPE"`
	Medusa    Medusa    `envconfig:"MEDUSA"`
	Warehouse Tryton    `envconfig:"WAREHOUSE"`
	ERP       Tryton    `envconfig:"ERP"`
	HubSpot   HubSpot   `envconfig:"HUBSPOT"`
	Mail      MailRelay `envconfig:"MAIL"`
}

// Stripe is the payment gateway.
type Stripe struct {
	URL       string `envconfig:"URL"` // empty: Stripe itself
	Key       string `envconfig:"KEY"`
	Account   string `envconfig:"ACCOUNT"`
	Live      bool   `envconfig:"LIVE"`
	ReturnURL string `envconfig:"RETURN_URL"`
}

// Medusa is the inventory.
type Medusa struct {
	URL      string `envconfig:"URL"`
	Email    string `envconfig:"EMAIL"`
	Password string `envconfig:"PASSWORD"`
	Key      string `envconfig:"KEY"`
	Location string `envconfig:"LOCATION"`
}

// Tryton is the warehouse or the ERP; the URL names the database too.
type Tryton struct {
	URL      string `envconfig:"URL"`
	User     string `envconfig:"USER"`
	Password string `envconfig:"PASSWORD"`
}

// HubSpot is the CRM.
type HubSpot struct {
	URL            string `envconfig:"URL"` // empty: HubSpot itself
	Token          string `envconfig:"TOKEN"`
	Pipeline       string `envconfig:"PIPELINE" default:"default"`
	OpenStage      string `envconfig:"OPEN_STAGE" default:"checkoutpending"`
	WonStage       string `envconfig:"WON_STAGE" default:"closedwon"`
	LostStage      string `envconfig:"LOST_STAGE" default:"closedlost"`
	AbandonedStage string `envconfig:"ABANDONED_STAGE" default:"abandonedcart"`
}

// MailRelay is the mail provider and the journal mailbox.
type MailRelay struct {
	SMTP          string        `envconfig:"SMTP"` // host:port
	SMTPSecurity  string        `envconfig:"SMTP_SECURITY"`
	User          string        `envconfig:"USER"`
	Password      string        `envconfig:"PASSWORD"`
	CA            string        `envconfig:"CA"` // a PEM file trusted besides the machine's
	From          string        `envconfig:"FROM"`
	ShopName      string        `envconfig:"SHOP_NAME" default:"Shop"`
	Journal       string        `envconfig:"JOURNAL"`
	IMAP          string        `envconfig:"IMAP"` // host:port; empty: no journal
	IMAPSecurity  string        `envconfig:"IMAP_SECURITY"`
	IMAPUser      string        `envconfig:"IMAP_USER"`
	IMAPPassword  string        `envconfig:"IMAP_PASSWORD"`
	VisibilityLag time.Duration `envconfig:"VISIBILITY_LAG" default:"15s"`
}

// Read reads the configuration from the environment.
func Read() (Config, error) {
	var c Config
	if err := envconfig.Process("TRUEUP", &c); err != nil {
		return Config{}, fmt.Errorf("read the settings from the environment: %w", err)
	}
	return c, c.validate()
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
	if c.Parallel < 1 {
		problems = append(problems, errors.New("TRUEUP_PARALLEL must be at least 1"))
	}
	if c.BudgetCount < 0 || c.BudgetMoney < 0 {
		problems = append(problems, errors.New("TRUEUP_BUDGET_COUNT and TRUEUP_BUDGET_MONEY must not be negative"))
	}
	return errors.Join(problems...)
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

// settings are what the workflows are told.
func (c Config) settings(policy reconcile.Policy, systems *Systems) workflows.Settings {
	s := workflows.Settings{
		Policy: policy, Retention: c.Retention, FollowEvery: c.FollowEvery, Linger: c.Linger, FreshFor: c.FreshFor,
		// About five minutes of polling in one activity: few events on an idle day.
		FollowPolls: max(1, int(5*time.Minute/c.FollowEvery)),
		Budget:      workflows.Budget{Count: c.BudgetCount, Money: c.BudgetMoney},
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
