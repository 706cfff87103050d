package reconcile

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/trueup-orders/trueup/order"
)

// believed compares twice, as an order does, so that breaks are confirmed.
func believed(i Intent, p Policy, w *world, bases []Base, at time.Time) []Break {
	first := Compare(i, p, w.read(i.Order, at), bases, nil, at)
	later := at.Add(time.Second)
	observations := w.read(i.Order, later)
	c := Compare(i, p, observations, bases, first.Breaks, later)
	for _, o := range observations {
		c.Breaks = Confirm(i, c, o, Abilities{StrongLookup: true}, later)
	}
	return c.Breaks
}

// plan reads, confirms and plans.
func plan(i Intent, w *world, bases []Base) []Step {
	breaks := believed(i, judged, w, bases, now)
	return Plan(judged, i, breaks, w.read(i.Order, now.Add(time.Second)), bases)
}

// adoptAll takes over what the gateway moved by itself, as the order would
// before anything else, and accepts what cannot be undone.
func adoptAll(i Intent, w *world, bases []Base) Intent {
	for _, s := range plan(i, w, bases) {
		if s.Decision != Adopt {
			continue
		}
		switch s.Break.Field {
		case PaymentCaptured:
			i.Captured = number(s.Break.Observed)
			i.Held = max(0, i.Held-(number(s.Break.Observed)-number(s.Break.Expected)))
		case PaymentRefunded:
			i.Refunded = number(s.Break.Observed)
		default:
			i = Accept(i, s.Break, now)
		}
	}
	return i
}

// kept is the money that the gateway keeps, in the order's currency.
func (w *world) kept(i Intent) int64 {
	sum := int64(0)
	for _, a := range w.payment.Attempts {
		if a.Currency == i.Currency {
			sum += a.Captured - a.Refunded - a.Lost
		}
	}
	return sum
}

// drawBases draws what was agreed on before: what both say now, so that what
// follows is an edit; nothing, so that our write was lost; or some other value,
// so that both have changed it.
func drawBases(t *rapid.T, i Intent, w *world) []Base {
	agreed := compared(i, w).Agreed
	switch rapid.IntRange(0, 3).Draw(t, "bases") {
	case 0, 1:
		return nil
	case 2:
		for n := range agreed {
			if one(t, 3) {
				agreed[n].Value = "7777777"
			}
		}
	}
	return agreed
}

// troubled draws a life, what was done to it, and what was agreed on before.
func troubled(t *rapid.T) (Intent, *world, []Base) {
	i, w := drawLife(t)
	bases := drawBases(t, i, w)
	for range rapid.IntRange(1, 3).Draw(t, "edits") {
		drawEdit(t, i, w)
	}
	return i, w, bases
}

func TestProperty_Plan_Applied_LeavesNothingToRepair(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		i = adoptAll(i, w, bases)
		for _, s := range plan(i, w, bases) {
			if s.Decision == Repair {
				w.apply(i, s)
			}
		}
		for _, s := range plan(i, w, bases) {
			if s.Decision == Repair {
				t.Fatalf("the second plan still repairs %+v", s)
			}
		}
	})
}

// Repaired is repaired: none of the breaks that a plan repairs is there any more.
func TestProperty_Plan_Applied_ClosesWhatItRepairs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		i = adoptAll(i, w, bases)
		var mended []string
		for _, s := range plan(i, w, bases) {
			if s.Decision == Repair {
				w.apply(i, s)
				mended = append(mended, s.Break.ID())
			}
		}
		left := idsOf(believed(i, judged, w, bases, now))
		for _, id := range mended {
			if slices.Contains(left, id) {
				t.Fatalf("%s was repaired, and is still there", id)
			}
		}
	})
}

func TestProperty_Plan_Applied_MovesNoMoreThanTheOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		i = adoptAll(i, w, bases)
		before, captured, back := w.kept(i), int64(0), int64(0)
		for _, s := range plan(i, w, bases) {
			if s.Decision != Repair {
				continue
			}
			if moved := w.apply(i, s); moved > 0 {
				captured += moved
			} else {
				back -= moved
			}
		}
		if captured > i.Captured || captured > 0 && before+captured > max(before, i.Captured-i.Refunded) {
			t.Fatalf("%d was captured beside the %d kept; the order means %d − %d of %d", captured, before, i.Captured, i.Refunded, i.Total)
		}
		if back > max(0, before-(min(i.Captured, i.Total)-i.Refunded)) {
			t.Fatalf("%d went back out of the %d kept; the order means %d − %d of %d", back, before, i.Captured, i.Refunded, i.Total)
		}
	})
}

// Money goes out by itself only where it was taken twice: never more of an
// attempt than it keeps, nor while anything is in dispute or was.
func TestProperty_Plan_Refund_OnlyOfASurplus(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		back := int64(0)
		for _, s := range plan(i, w, bases) {
			if s.Decision != Repair || s.Operation != order.Refund {
				continue
			}
			a := w.payment.Attempts[slices.IndexFunc(w.payment.Attempts, func(a Attempt) bool { return a.ID == s.Break.Item })]
			if s.Amount <= 0 || s.Amount > a.Captured-a.Refunded-a.Disputed || s.Break.Field != PaymentAttempts {
				t.Fatalf("%d goes back from %+v", s.Amount, a)
			}
			back += s.Amount
		}
		captured, disputed := int64(0), int64(0)
		for _, a := range w.payment.Attempts {
			if a.Currency == i.Currency {
				captured, disputed = captured+a.Captured, disputed+a.Disputed
			}
		}
		if back > max(0, captured-i.Total) || back > 0 && disputed > 0 {
			t.Fatalf("%d goes back of %d captured for an order of %d, with %d in dispute", back, captured, i.Total, disputed)
		}
	})
}

// An operation is done again only out of money that is there.
func TestProperty_Plan_Capture_OnlyWhatIsHeld(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		held, captured, disputed := int64(0), int64(0), int64(0)
		for _, a := range w.payment.Attempts {
			if a.Currency == i.Currency {
				held, captured, disputed = held+a.Held, captured+a.Captured, disputed+a.Disputed-a.Lost
			}
		}
		for _, s := range plan(i, w, bases) {
			if s.Decision != Repair || s.Operation != order.Capture {
				continue
			}
			if s.Amount <= 0 || s.Amount > held || s.Amount > i.Captured || captured+s.Amount > max(captured, i.Total) || disputed > 0 {
				t.Fatalf("captures %d: held are %d, captured %d, in dispute %d; the order means %d", s.Amount, held, captured, disputed, i.Captured)
			}
		}
	})
}

// Goods are requested by themselves only when they are certainly paid for.
func TestProperty_Plan_Request_OnlyWhatIsPaid(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		breaks := believed(i, judged, w, bases, now)
		observations := w.read(i.Order, now.Add(time.Second))
		readable := true
		switch rapid.SampledFrom([]string{"read", "down", "absent"}).Draw(t, "the gateway") {
		case "down":
			observations, readable = Merge(observations, down(order.SystemPayment, now.Add(time.Minute))), false
		case "absent":
			observations[0] = Observation{System: order.SystemPayment, Order: i.Order, State: Absent, At: now, Strong: true}
		}
		paid := int64(0)
		for _, a := range of(observations[0].Payment).Attempts {
			if a.Currency == i.Currency {
				paid += a.Held + a.Captured - a.Refunded - a.Disputed
			}
		}
		for _, s := range Plan(judged, i, breaks, observations, bases) {
			if s.Operation != order.Request || s.Decision != Repair {
				continue
			}
			if !readable || paid <= 0 || s.Key != s.Break.Item || s.Break.Expected != string(ShipmentRequested) {
				t.Fatalf("requests again with %d paid, the gateway readable %v: %+v", paid, readable, s)
			}
		}
	})
}

func TestProperty_Plan_OrderOfInput_Irrelevant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		breaks := believed(i, judged, w, bases, now)
		observations := w.read(i.Order, now)
		want := Plan(judged, i, breaks, observations, bases)
		r := randomly(t)
		shuffled := shuffle(r, observations)
		for n := range shuffled {
			shuffled[n] = shuffleRecords(r, shuffled[n])
		}
		if got := Plan(judged, i, shuffle(r, breaks), shuffled, shuffle(r, bases)); !reflect.DeepEqual(got, want) {
			t.Fatalf("another order of input planned\n%+v\nwant\n%+v", got, want)
		}
	})
}

func TestProperty_Plan_OneStepPerBreak_ParentsFirst(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		breaks := believed(i, judged, w, bases, now)
		steps := Plan(judged, i, breaks, w.read(i.Order, now), bases)
		var about []Break
		place := -1
		for _, s := range steps {
			about = append(about, s.Break)
			next := slices.Index(Fields(), s.Break.Field)
			if next < place {
				t.Fatalf("%s comes after its children: %q", s.Break.Field, idsOf(about))
			}
			place = next
		}
		slices.SortFunc(about, func(a, b Break) int { return strings.Compare(a.ID(), b.ID()) })
		if !slices.Equal(about, breaks) {
			t.Fatalf("breaks are %q, the steps are about %q", idsOf(breaks), idsOf(about))
		}
	})
}

func TestProperty_Plan_Step_IsExplained(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		p := judged.WithMode(rapid.SampledFrom([]Mode{ModeAuto, ModeAsk, ModeReport}).Draw(t, "mode"))
		for _, s := range Plan(p, i, believed(i, judged, w, bases, now), w.read(i.Order, now), bases) {
			hand := len(s.Alternatives) > 0 && s.Alternatives[len(s.Alternatives)-1] == doneByHand
			switch {
			case s.Why == "":
				t.Fatalf("nobody knows why: %+v", s)
			case s.Decision == Ask && (s.Proposal == "" || !hand):
				t.Fatalf("nobody can decide: %+v", s)
			case s.Decision == Repair && (s.Operation == "" || s.System != s.Break.System):
				t.Fatalf("nobody can repair: %+v", s)
			case s.Operation != "" && s.Key != "" && !keyOf(s.Key, s.Operation) && s.Operation != order.Cancel && s.Operation != order.Return:
				t.Fatalf("%s under another key: %+v", s.Operation, s)
			case s.Decision == Adopt && s.Operation != "":
				t.Fatalf("adopts by an operation: %+v", s)
			}
		}
	})
}

func keyOf(key string, operation order.Operation) bool {
	intent, ours := order.ParseKey(key)
	return ours && intent.Operation == operation
}

func TestProperty_Plan_Unconfirmed_OnlyReported(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		observations := w.read(i.Order, now)
		for _, s := range Plan(judged, i, Compare(i, judged, observations, bases, nil, now).Breaks, observations, bases) {
			if s.Decision != Report {
				t.Fatalf("acted on an unconfirmed break: %+v", s)
			}
		}
	})
}

func TestProperty_Plan_Unreadable_NeverActedOn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		breaks := believed(i, judged, w, bases, now)
		s := drawSystem(t)
		observations := w.read(i.Order, now)
		if rapid.Bool().Draw(t, "never read") {
			observations = slices.Delete(observations, at(s), at(s)+1)
		} else { // what it once said is there, and is not acted on
			observations = Merge(observations, down(s, now.Add(time.Minute)))
		}
		for _, step := range Plan(judged, i, breaks, observations, bases) {
			if step.Break.System == s && step.Decision != Report {
				t.Fatalf("%s cannot be read: %+v", s, step)
			}
		}
	})
}

func TestProperty_Plan_Busy_NeverActedOn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		breaks := believed(i, judged, w, bases, now)
		s := drawSystem(t)
		if rapid.Bool().Draw(t, "in doubt") {
			i.InDoubt = []order.System{s}
		} else {
			i.Busy = []order.System{s}
		}
		for _, step := range Plan(judged, i, breaks, w.read(i.Order, now), bases) {
			if step.Break.System == s && step.Decision != Report {
				t.Fatalf("an operation is open in %s: %+v", s, step)
			}
		}
	})
}

func TestProperty_Plan_Settling_NeverActedOn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		s := drawSystem(t)
		drawEdit(t, i, w, s)
		i = written(i, s, now.Add(-time.Second))
		first := compared(i, w)
		var known []Break
		for _, x := range first.Settling {
			known = append(known, x.Break)
		}
		later := now.Add(time.Second)
		c := Compare(i, judged, w.read(i.Order, later), nil, known, later)
		for _, o := range w.read(i.Order, later) {
			c.Breaks = Confirm(i, c, o, Abilities{StrongLookup: true}, later)
		}
		for _, step := range Plan(judged, i, c.Breaks, w.read(i.Order, later), nil) {
			if step.Break.System == s {
				t.Fatalf("our write is two seconds old: %+v", step)
			}
		}
	})
}

// weight orders decisions by how much is done without a person.
func weight(d Decision) int {
	return slices.Index([]Decision{Ignore, Report, Ask, Adopt, Repair}, d)
}

// What a rule would adopt is proposed as the decision that adopts it: done by hand
// there is nothing, for the system stays as it is.
func TestProperty_Plan_AskedWhetherToAdopt_AcceptIsProposed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		p := judged
		for _, f := range []Field{CRMContact, CRMDeal, CRMRevenue} {
			p = withRule(p, f, func(r *Rule) { r.Strength = AdoptTheirs })
		}
		breaks, read := believed(i, p, w, bases, now), w.read(i.Order, now)
		asked := Plan(p.WithMode(ModeAsk), i, breaks, read, bases)
		for n, s := range Plan(p, i, breaks, read, bases) {
			a := asked[n]
			if s.Decision != Adopt {
				continue
			}
			if a.Decision != Ask || a.Operation != "" || a.Proposal != "accept: take what "+string(s.Break.System)+" says into the order" || !slices.Equal(a.Alternatives, []string{doneByHand}) {
				t.Fatalf("%+v is asked as %+v", s, a)
			}
		}
	})
}

func TestProperty_Plan_Mode_OnlyCaps(t *testing.T) {
	t.Parallel()
	most := map[Mode]Decision{ModeIgnore: Ignore, ModeReport: Report, ModeAsk: Ask, ModeAuto: Repair}
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		breaks := believed(i, judged, w, bases, now)
		observations := w.read(i.Order, now)
		p := Policy{Rules: slices.Clone(judged.Rules), MailWithin: judged.MailWithin}
		for n := range p.Rules {
			p.Rules[n].Mode = rapid.SampledFrom([]Mode{ModeIgnore, ModeReport, ModeAsk, ModeAuto, "all"}).Draw(t, "mode")
		}
		for n, s := range Plan(p, i, breaks, observations, bases) {
			r := p.Rule(s.Break.Field)
			allowed, known := most[r.Mode]
			if !known {
				allowed = Report
			}
			if weight(s.Decision) > weight(allowed) || weight(s.Decision) > weight(most[r.Allows]) {
				t.Fatalf("mode %s of %s, which allows %s: %+v", r.Mode, r.Field, r.Allows, s)
			}
			if r.Mode == ModeAuto {
				continue
			}
			whole := Plan(judged, i, breaks, observations, bases)[n]
			if weight(s.Decision) > weight(whole.Decision) && s.Decision != Report && !(whole.Decision == Report) {
				t.Fatalf("mode %s made %s of %s", r.Mode, s.Decision, whole.Decision)
			}
		}
	})
}

// What the business rules do not allow is never done, whatever a policy says
// its mode is.
func TestProperty_Plan_Allows_CannotBeRaised(t *testing.T) {
	t.Parallel()
	most := map[Mode]Decision{ModeReport: Report, ModeAsk: Ask, ModeAuto: Repair}
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		p := Policy{Rules: slices.Clone(judged.Rules), MailWithin: judged.MailWithin}
		for n := range p.Rules {
			p.Rules[n].Mode = ModeAuto
			if rapid.Bool().Draw(t, "less") {
				p.Rules[n].Allows = rapid.SampledFrom([]Mode{ModeReport, ModeAsk}).Draw(t, "allows")
			}
		}
		for _, s := range Plan(p, i, believed(i, judged, w, bases, now), w.read(i.Order, now), bases) {
			if allows := p.Rule(s.Break.Field).Allows; weight(s.Decision) > weight(most[allows]) {
				t.Fatalf("%s allows %s: %+v", s.Break.Field, allows, s)
			}
		}
	})
}

// A person's edit is respected or asked about, never silently reverted: only a
// field that its policy enforces is set back to what it was.
func TestProperty_Plan_Edited_NeverSilentlyReverted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := drawEdited(t)
		p := Policy{Rules: slices.Clone(judged.Rules), MailWithin: judged.MailWithin}
		for n := range p.Rules {
			p.Rules[n].Strength = rapid.SampledFrom([]Strength{Enforce, EnforceOurs, FillEmpty, AdoptTheirs}).Draw(t, "strength")
		}
		for _, s := range Plan(p, i, believed(i, p, w, bases, now), w.read(i.Order, now), bases) {
			_, agreed := baseNamed(bases, s.Break)
			if s.Decision == Repair && agreed && s.Break.Situation != Duplicate && p.Rule(s.Break.Field).Strength != Enforce {
				t.Fatalf("both agreed on %q, somebody made it %q, and it is set back: %+v", s.Break.Base, s.Break.Observed, s)
			}
		}
	})
}

// What somebody let stand of one SKU is not undone by a repair of another: all of an
// order's reservations are written at once.
func TestProperty_Plan_LetStand_NotUndoneByTheSameWrite(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		for range rapid.IntRange(2, 4).Draw(t, "edits") {
			drawEdit(t, i, w, order.SystemInventory)
		}
		n := slices.IndexFunc(compared(i, w).Breaks, func(b Break) bool { return b.Field == InventoryReserved })
		if n < 0 {
			return
		}
		stands := compared(i, w).Breaks[n]
		i = Accept(i, stands, now)
		for _, s := range Plan(judged, i, believed(i, judged, w, nil, now), w.read(i.Order, now), nil) {
			if s.Decision == Repair && s.Break.Field == InventoryReserved && s.Break.Item != stands.Item {
				t.Fatalf("%q of %s was let stand, and %s writes all of it: %+v", stands.Observed, stands.Item, s.Operation, s)
			}
		}
	})
}

// Our own write that was lost is done again wherever it is harmless.
func TestProperty_Plan_LostWrite_IsDoneAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		if i.Deal == "" || i.Sale == nil {
			return
		}
		w.erp, w.crm = ERP{}, CRM{}
		w.mail.Messages = nil
		var again []Field
		for _, s := range plan(i, w, nil) {
			if s.Decision == Repair {
				again = append(again, s.Break.Field)
				continue
			}
			t.Fatalf("our write was lost: %+v", s)
		}
		for _, f := range []Field{ERPSale, CRMContact, CRMDeal} {
			if !slices.Contains(again, f) {
				t.Fatalf("our write of %s was lost, and only %q are done again", f, again)
			}
		}
	})
}

func TestProperty_Plan_Conflict_IsAsked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := edited(t, 2)
		var bases []Base
		for _, b := range compared(i, w).Breaks {
			bases = append(bases, Base{Field: b.Field, Item: b.Item, Value: "7777777", At: placed})
		}
		for _, s := range plan(i, w, bases) {
			if s.Break.Situation == Conflict && s.Decision != Ask {
				t.Fatalf("both changed it: %+v", s)
			}
		}
	})
}

// What is booked, has left, or was sent is never changed by a program.
func TestProperty_Plan_Facts_AreNeverUndone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w, bases := troubled(t)
		for _, s := range plan(i, w, bases) {
			if s.Decision != Repair {
				continue
			}
			b := s.Break
			booked := b.System == order.SystemERP && b.Situation != Missing && !isDraft(b.Item)
			gone := s.Operation == order.Cancel && ShipmentState(b.Observed).Rank() >= ShipmentPacked.Rank()
			told := b.System == order.SystemMail && b.Situation != Missing
			if booked || gone || told {
				t.Fatalf("what is a fact is undone: %+v", s)
			}
		}
	})
}

func TestProperty_Plan_Mail_OnlyWhileItIsNews(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		w.mail.Messages = nil
		when := placed.Add(time.Duration(rapid.IntRange(2, 30).Draw(t, "hours")) * time.Hour)
		observations := w.read(i.Order, when.Add(time.Second))
		for _, s := range Plan(judged, i, believed(i, judged, w, nil, when), observations, nil) {
			if s.Break.System != order.SystemMail {
				continue
			}
			n := slices.IndexFunc(i.Mails, func(m MailIntent) bool {
				return MailField(m.Template) == s.Break.Field && canonicalAmount(int64(m.Occasion)) == s.Break.Item
			})
			m := i.Mails[n]
			if news := when.Add(time.Second).Before(m.Due.Add(24 * time.Hour)); news != (s.Decision == Repair) || m.GivenUp {
				t.Fatalf("%s after its event: %+v", when.Sub(m.Due), s)
			}
		}
	})
}

// A child waits for its parent: nothing is booked under a sale that is not there
// and will not be, and no deal without a contact.
func TestProperty_Plan_Child_WaitsForItsParent(t *testing.T) {
	t.Parallel()
	parents := map[Field]Field{ERPInvoices: ERPSale, ERPReceipts: ERPSale, ERPCredits: ERPSale, CRMDeal: CRMContact, CRMRevenue: CRMContact}
	rapid.Check(t, func(t *rapid.T) {
		i, w := drawLife(t)
		if i.Sale == nil || i.Deal == "" {
			return
		}
		w.erp, w.crm = ERP{}, CRM{}
		parent := rapid.SampledFrom([]Field{ERPSale, CRMContact}).Draw(t, "parent")
		p := withRule(judged, parent, func(r *Rule) { r.Mode = rapid.SampledFrom([]Mode{ModeAsk, ModeReport}).Draw(t, "mode") })
		for _, s := range Plan(p, i, believed(i, p, w, nil, now), w.read(i.Order, now.Add(time.Second)), nil) {
			if parents[s.Break.Field] == parent && s.Decision != Report {
				t.Fatalf("%s is not repaired, and its child is: %+v", parent, s)
			}
		}
	})
}
