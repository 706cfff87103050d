package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	"go.temporal.io/server/common/persistence"
	"go.temporal.io/server/common/persistence/serialization"
	persistencesql "go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/resolver"
	"go.temporal.io/server/common/searchattribute/sadefs"
	schema "go.temporal.io/server/schema/sqlite"
	"google.golang.org/protobuf/types/known/durationpb"
)

// attribute is a search attribute that Trueup's workflows upsert.
type attribute struct {
	name string
	kind enumspb.IndexedValueType
}

// orderAttributes must be the same as those that the product registers on other Temporal installations. Append
// only: a new database gives them columns in this order.
var orderAttributes = []attribute{
	{"OrderOutcome", enumspb.INDEXED_VALUE_TYPE_KEYWORD},
	{"OrderAgreement", enumspb.INDEXED_VALUE_TYPE_KEYWORD},
	{"OrderBreaks", enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST},
	{"OrderOldestBreak", enumspb.INDEXED_VALUE_TYPE_DATETIME},
	{"OrderChanged", enumspb.INDEXED_VALUE_TYPE_DATETIME},
}

// ensureNamespace makes the namespace with the search attributes, or adds those that an older database lacks.
//
// It writes to the database before the server starts. Through the server's API each of the four services would
// learn of the change at its own next refresh, seconds later, and a workflow started meanwhile would be refused.
func ensureNamespace(ctx context.Context, store *config.SQL, name string, retention time.Duration) error {
	db, err := persistencesql.NewSQLDB(sqlplugin.DbKindMain, store, resolver.NewNoopResolver(), log.NewNoopLogger(), metrics.NoopMetricsHandler)
	if err != nil {
		return fmt.Errorf("opening the database for namespace %q: %w", name, err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.SelectFromNamespace(ctx, sqlplugin.NamespaceFilter{Name: &name})
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if retention == 0 {
			retention = newNamespaceRetention
		}
		err = createNamespace(store, name, retention)
	case err == nil:
		err = updateNamespace(ctx, db, rows[0], retention)
	}
	if err != nil {
		return fmt.Errorf("preparing namespace %q: %w", name, err)
	}
	return nil
}

func createNamespace(store *config.SQL, name string, retention time.Duration) error {
	namespace, err := schema.NewNamespaceConfig(clusterName, name, false, nil)
	if err != nil {
		return err
	}
	settings := namespace.Detail.Config
	settings.Retention = durationpb.New(retention)
	if settings.CustomSearchAttributeAliases, err = withOrderAttributes(nil); err != nil {
		return err
	}
	return schema.CreateNamespaces(store, namespace)
}

// updateNamespace writes only when something differs, so that opening a database again changes nothing.
func updateNamespace(ctx context.Context, db sqlplugin.DB, row sqlplugin.NamespaceRow, retention time.Duration) error {
	serializer := serialization.NewSerializer()
	detail, err := serializer.NamespaceDetailFromBlob(persistence.NewDataBlob(row.Data, row.DataEncoding))
	if err != nil {
		return fmt.Errorf("reading it: %w", err)
	}
	settings := detail.Config
	aliases, err := withOrderAttributes(settings.CustomSearchAttributeAliases)
	if err != nil {
		return err
	}
	if retention == 0 {
		retention = settings.Retention.AsDuration()
	}
	if maps.Equal(aliases, settings.CustomSearchAttributeAliases) && retention == settings.Retention.AsDuration() {
		return nil
	}
	settings.CustomSearchAttributeAliases = aliases
	settings.Retention = durationpb.New(retention)
	detail.ConfigVersion++
	blob, err := serializer.NamespaceDetailToBlob(detail)
	if err != nil {
		return fmt.Errorf("writing it: %w", err)
	}
	row.Data, row.DataEncoding = blob.Data, blob.EncodingType.String()
	if _, err := db.UpdateNamespace(ctx, &row); err != nil {
		return fmt.Errorf("writing it: %w", err)
	}
	return nil
}

// withOrderAttributes gives each order attribute a column. A SQL store has a fixed number of typed columns
// (Keyword01, Datetime02 and so on) and the namespace keeps the table of which column has which name. A name keeps
// its column for ever, or else old rows would be found under the wrong name.
func withOrderAttributes(existing map[string]string) (map[string]string, error) {
	kinds := sadefs.GetDBIndexSearchAttributes(nil).CustomSearchAttributes
	aliases := map[string]string{}
	columns := map[string]string{} // the other way round
	for column, name := range existing {
		aliases[column] = name
		columns[name] = column
	}
	for _, a := range orderAttributes {
		if column, found := columns[a.name]; found {
			if kinds[column] != a.kind {
				return nil, fmt.Errorf("search attribute %s is a %s there but must be a %s; use another --namespace or --db", a.name, kinds[column], a.kind)
			}
			continue
		}
		free := slices.IndexFunc(slices.Sorted(maps.Keys(kinds)), func(column string) bool {
			return kinds[column] == a.kind && aliases[column] == ""
		})
		if free < 0 {
			return nil, fmt.Errorf("no %s column is left for search attribute %s; remove an unused attribute, or use another --namespace", a.kind, a.name)
		}
		aliases[slices.Sorted(maps.Keys(kinds))[free]] = a.name
	}
	return aliases, nil
}
