package reconciliation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/trueup-orders/trueup/order"
	"github.com/trueup-orders/trueup/reconcile"
)

// desk lists one record that no order claims, and keeps what it is given, but for
// one of mail.
type desk struct {
	Reader
	Orders
	system order.System
	kept   *[]string
}

func (d desk) List(_ context.Context, r reconcile.ListRequest) (reconcile.Page, error) {
	return reconcile.Page{Orphans: []reconcile.Orphan{{System: string(d.system), Record: "1", At: r.To}}}, nil
}

func (d desk) Keep(_ context.Context, _ order.ID, n Notice) error {
	if n.System == order.SystemMail {
		return fmt.Errorf("its name is odd: %w", ErrRefused)
	}
	*d.kept = append(*d.kept, string(n.System))
	return nil
}

// What the engine takes never holds up no feed: neither the others nor its own.
func TestFollowChanges_NoticeRefusedForGood_FeedsGoOn(t *testing.T) {
	t.Parallel()
	var kept []string
	a := &Activities{Orders: desk{kept: &kept}, Now: time.Now}
	f := Follow{Systems: []order.System{order.SystemMail, order.SystemCRM}, Since: time.Now().Add(-time.Hour), Polls: 1}
	for _, system := range f.Systems {
		a.Readers = append(a.Readers, SystemReader{system, desk{system: system}})
	}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(a.FollowChanges)
	value, err := env.ExecuteActivity(a.FollowChanges, f)
	if err != nil {
		t.Fatal(err)
	}
	var cursors []Cursor
	if err := value.Get(&cursors); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(kept, []string{"crm"}) {
		t.Errorf("kept are the records of %v, want crm's", kept)
	}
	for _, c := range cursors {
		if !c.Through.After(f.Since) {
			t.Errorf("%s is followed no further than %s", c.System, c.Through)
		}
	}
}

// told answers each notice alike.
type told struct {
	Orders
	err error
}

func (o told) Notify(context.Context, Notices) error { return o.err }

// What an order takes never is not given to it each minute for ever.
func TestGiveNotices_RefusedForGood_NotTriedAgain(t *testing.T) {
	t.Parallel()
	stopped := fmt.Errorf("let it go on there: %w", ErrRefused)
	for want, err := range map[bool]error{true: stopped, false: errors.New("no answer")} {
		a := &Activities{Orders: told{err: err}}
		_, got := a.GiveNotices(t.Context(), Notices{Order: "1"})
		failed, is := errors.AsType[*temporal.ApplicationError](got)
		if never := is && failed.NonRetryable() && failed.Type() == RefusedReason; got == nil || never != want {
			t.Errorf("%v is not tried again: %t, want %t: %v", err, never, want, got)
		}
		if want && is && !strings.Contains(failed.Message(), "order 1: let it go on there") {
			t.Errorf("it says %q", failed.Message())
		}
	}
}
