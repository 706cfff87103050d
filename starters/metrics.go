package starters

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/trueup-orders/trueup/activities/reconciliation"
	"github.com/trueup-orders/trueup/order"
)

// Gauges are the metrics of the whole installation, read from the one place that
// knows each: the reconciliation workflow and visibility. Every worker says the
// same, so take the maximum over them and not the sum. Moments are said as such,
// in seconds since 1970, so that an age goes on growing when nobody can say
// anything any more. See docs/metrics.md.
type Gauges struct {
	client *Client
	log    *logrus.Logger
	all    gauges

	mu   sync.Mutex // held while it is read, so that several scrapes read once
	at   time.Time
	last Overview
	err  error
}

// readEvery is how old an overview may be that answers a scrape, and readWithin
// how long reading one may take.
const (
	readEvery  = 15 * time.Second
	readWithin = 10 * time.Second
)

// NewGauges returns the gauges of the installation that a client speaks to.
func NewGauges(c *Client, log *logrus.Logger) *Gauges {
	return &Gauges{client: c, log: log, all: newGauges()}
}

// gauges are what Gauges says.
type gauges struct {
	read, truncated, disagreeing, breaks, oldest, risk           *prometheus.Desc
	cases, oldestCase, deadline, orphans                         *prometheus.Desc
	verified, goodRun, unread, grants, stopped                   *prometheus.Desc
	planting, plantedSince, plantedFound, plantedMissed, overdue *prometheus.Desc
	groups, groupDeadline, swept, partial, exceptions            *prometheus.Desc
}

func newGauges() gauges {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("trueup_"+name, help, labels, nil)
	}
	return gauges{
		read:        d("overview_read", "1 when the overview could be read, 0 when it could not: then the others are missing."),
		truncated:   d("overview_truncated", "1 when more orders disagree, or more records wait that no order claims, than are counted."),
		disagreeing: d("orders_disagreeing", "Orders with an open break, also one that is left to a group."),
		breaks:      d("open_breaks", "Orders with an open break of this kind; of level.mismatch, SKUs. Kind is all for a group of a whole system.", "system", "kind"),
		oldest:      d("oldest_break_timestamp_seconds", "When the oldest open break was first seen, of an order, of a group or of a stock level."),
		risk:        d("money_at_risk_minor_units", "Money at risk in open breaks, groups and cases, in minor units of the currency.", "currency"),
		cases:       d("open_cases", "Cases that wait for a person: of orders, and of records that no order claims."),
		oldestCase:  d("oldest_case_timestamp_seconds", "When the oldest open case was opened."),
		deadline:    d("next_case_deadline_timestamp_seconds", "The deadline of the most urgent open case."),
		orphans:     d("open_orphans", "Records that no order claims and that wait for a person; they are among the open cases.", "system"),
		verified:    d("verified_through_timestamp_seconds", "Every order before this moment has been compared in every system, but for a listed few."),
		goodRun:     d("last_good_run_timestamp_seconds", "When a run last was complete; since when memory reaches before the first."),
		unread:      d("unread_systems", "1 for a system that the last run could not read.", "system"),
		grants:      d("grants_out", "Grants that were given and neither used, returned nor expired."),
		stopped:     d("repairs_stopped", "1 where a switch stops repairs; system is all for everything.", "system"),
		planting:    d("planted_every_seconds", "How often a break is planted; 0 where none is."),
		plantedSince: d("planting_since_timestamp_seconds",
			"Since when breaks are planted."),
		plantedFound: d("planted_break_found_timestamp_seconds", "When a planted break was last found; since when breaks are planted, before the first."),
		plantedMissed: d("planted_breaks_missed",
			"Planted breaks that were not found in time since planting began."),
		overdue:       d("planted_break_overdue", "1 while the last planted break was not found in time."),
		groups:        d("open_groups", "Incidents of many orders that are not over, by the system of their kind; all where it is of no one system.", "system"),
		groupDeadline: d("next_group_deadline_timestamp_seconds", "The deadline of the most urgent group that nobody has decided."),
		swept:         d("swept_through_timestamp_seconds", "Every day before this moment was swept in full, but for the exceptions."),
		partial:       d("partial_days", "Days of which a sweep could not read something; they are swept again."),
		exceptions:    d("sweep_exceptions", "Orders of swept days that could not be compared; they are asked again."),
	}
}

// Describe implements prometheus.Collector.
func (g *Gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		g.all.read, g.all.truncated, g.all.disagreeing, g.all.breaks, g.all.oldest, g.all.risk, g.all.cases, g.all.oldestCase, g.all.deadline, g.all.orphans,
		g.all.verified, g.all.goodRun, g.all.unread, g.all.grants, g.all.stopped,
		g.all.planting, g.all.plantedSince, g.all.plantedFound, g.all.plantedMissed, g.all.overdue,
		g.all.groups, g.all.groupDeadline, g.all.swept, g.all.partial, g.all.exceptions,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector: it answers from an overview that is at
// most readEvery old.
func (g *Gauges) Collect(to chan<- prometheus.Metric) {
	o, err := g.overview()
	s := saying{to}
	if err != nil {
		s.say(g.all.read, 0)
		return
	}
	s.say(g.all.read, 1)
	g.sayOrders(s, o)
	g.sayStatus(s, o)
}

func (g *Gauges) overview() (Overview, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.client.Now()
	if !g.at.IsZero() && now.Sub(g.at) < readEvery {
		return g.last, g.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readWithin)
	defer cancel()
	g.last, g.err = g.client.Overview(ctx)
	g.at = now
	if g.err != nil {
		g.log.WithError(g.err).Warn("the overview could not be read; the metrics of the installation are missing until it can")
	}
	return g.last, g.err
}

type saying struct{ to chan<- prometheus.Metric }

func (s saying) say(d *prometheus.Desc, value float64, labels ...string) {
	s.to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// moment says a moment, or nothing when there is none.
func (s saying) moment(d *prometheus.Desc, at time.Time) {
	if !at.IsZero() {
		s.say(d, float64(at.UnixMilli())/1000)
	}
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func (g *Gauges) sayOrders(s saying, o Overview) {
	kinds, risk := map[string]int{}, map[order.Currency]int64{}
	var oldest, oldestCase, deadline time.Time
	disagreeing, cases := 0, 0
	earliest := func(of *time.Time, at time.Time) {
		if !at.IsZero() && (of.IsZero() || at.Before(*of)) {
			*of = at
		}
	}
	for _, d := range o.Orders {
		if !d.Oldest.IsZero() {
			disagreeing++
		}
		for _, kind := range d.Breaks {
			kinds[kind]++
		}
		if d.Stakes.Money > 0 {
			risk[d.Stakes.Currency] += d.Stakes.Money
		}
		cases += d.Stakes.Cases
		earliest(&oldest, d.Oldest)
		earliest(&oldestCase, d.Stakes.Opened)
		earliest(&deadline, d.Stakes.Deadline)
	}
	orphans := map[order.System]int{}
	for _, n := range o.Orphans {
		orphans[n.System]++
		cases += n.Stakes.Cases
		if n.Stakes.Money > 0 {
			risk[n.Stakes.Currency] += n.Stakes.Money
		}
		earliest(&oldestCase, n.Stakes.Opened)
		earliest(&deadline, n.Stakes.Deadline)
	}
	for _, system := range order.Systems() {
		s.say(g.all.orphans, float64(orphans[system]), string(system))
	}
	for _, b := range o.Status.Levels {
		kinds[b.Kind().String()]++
		earliest(&oldest, b.FirstSeen)
	}
	untold := UntoldOf(o.Status, o.Orders)
	disagreeing += o.inIncidents(untold)
	for _, u := range untold {
		kind := u.Kind.String()
		if u.Kind.Field == "" {
			kind += ".all"
		}
		kinds[kind] += u.Orders
		for _, sum := range u.Risk {
			risk[sum.Currency] += sum.Minor
		}
		earliest(&oldest, u.Since)
	}
	s.say(g.all.truncated, one(o.More))
	s.say(g.all.disagreeing, float64(disagreeing))
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if system, rest, ok := strings.Cut(kind, "."); ok && slices.Contains(order.Systems(), order.System(system)) {
			s.say(g.all.breaks, float64(kinds[kind]), system, rest)
		}
	}
	for _, currency := range slices.Sorted(maps.Keys(risk)) {
		s.say(g.all.risk, float64(risk[currency]), string(currency))
	}
	s.say(g.all.cases, float64(cases))
	s.moment(g.all.oldest, oldest)
	s.moment(g.all.oldestCase, oldestCase)
	s.moment(g.all.deadline, deadline)
}

func (g *Gauges) sayStatus(s saying, o Overview) {
	status := o.Status
	s.moment(g.all.verified, status.VerifiedThrough)
	good := status.LastGoodRun
	if good.IsZero() {
		good = status.Since
	}
	s.moment(g.all.goodRun, good)
	s.say(g.all.grants, float64(status.Outstanding))
	var unread []order.System
	for _, r := range status.Reports { // the last one that looked at everything
		if !r.Only {
			unread = r.Unread
		}
	}
	for _, system := range order.Systems() {
		s.say(g.all.unread, one(slices.Contains(unread, system)), string(system))
	}
	var stopped []string // each once: of one system several kinds may be stopped
	for _, stop := range status.Stops {
		kind, _ := stop.Stops()
		stopped = append(stopped, cmp.Or(string(kind.System), "all"))
	}
	slices.Sort(stopped)
	for _, system := range slices.Compact(stopped) {
		s.say(g.all.stopped, 1, system)
	}
	g.sayGroups(s, status.Groups)
	s.moment(g.all.swept, status.Coverage.Through)
	s.say(g.all.partial, float64(len(status.Coverage.Partial)))
	s.say(g.all.exceptions, float64(len(status.Coverage.Exceptions)))
	c := status.Canary
	if c == nil {
		s.say(g.all.planting, 0)
		return
	}
	s.say(g.all.planting, c.Every.Seconds())
	s.moment(g.all.plantedSince, c.Since)
	found := c.LastFound
	if found.IsZero() {
		found = c.Since
	}
	s.moment(g.all.plantedFound, found)
	s.say(g.all.plantedMissed, float64(c.Missed))
	s.say(g.all.overdue, one(c.Last != nil && !c.Last.Missed.IsZero() && c.Last.Found.IsZero()))
}

func (g *Gauges) sayGroups(s saying, groups []reconciliation.Group) {
	open := map[string]int{"all": 0}
	for _, system := range order.Systems() {
		open[string(system)] = 0
	}
	var deadline time.Time
	for _, one := range groups {
		if one.Over() {
			continue
		}
		system := string(one.Kind.System)
		if system == "" {
			system = "all"
		}
		open[system]++
		if one.State == reconciliation.GroupOpen && (deadline.IsZero() || one.Deadline.Before(deadline)) {
			deadline = one.Deadline
		}
	}
	for _, system := range slices.Sorted(maps.Keys(open)) {
		s.say(g.all.groups, float64(open[system]), system)
	}
	s.moment(g.all.groupDeadline, deadline)
}
