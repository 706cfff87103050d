// Package connect makes what every program of ours needs first: the connection
// to the engine, and the log. It knows nothing of orders, so that workers and
// starters share it.
package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
)

// patience is how long an engine may take to answer at start-up.
const patience = 10 * time.Second

// ErrUnreachable says that the engine did not answer.
var ErrUnreachable = errors.New("the engine does not answer")

// Engine connects to the engine that TEMPORAL_ADDRESS and its kin, or a profile
// of temporal.toml, name: the embedded one on this machine when none does. The
// connection is checked; an error says which address was tried and what to do.
func Engine(ctx context.Context, log *slog.Logger) (client.Client, error) {
	return Measured(ctx, log, nil)
}

// Measured is Engine for a program that measures what it does; nil measures
// nothing.
func Measured(ctx context.Context, log *slog.Logger, metrics *Metrics) (client.Client, error) {
	return dial(ctx, log, envconfig.LoadClientOptionsRequest{}, metrics)
}

func dial(ctx context.Context, logger *slog.Logger, from envconfig.LoadClientOptionsRequest, metrics *Metrics) (client.Client, error) {
	options, err := options(from)
	if err != nil {
		return nil, err
	}
	options.Logger = log.NewStructuredLogger(logger)
	if metrics != nil {
		options.MetricsHandler = metrics.MetricsHandler()
	}
	if options.DataConverter, err = Converter(); err != nil {
		return nil, err
	}
	options.FailureConverter = temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
		DataConverter: options.DataConverter, EncodeCommonAttributes: os.Getenv(KeysVariable) != "",
	})
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	engine, err := client.DialContext(bounded, options)
	if err != nil {
		return nil, fmt.Errorf("connect to %s (namespace %s): %w: %w; start the embedded engine (deployments/temporal), or name another by "+
			"TEMPORAL_ADDRESS or a profile of temporal.toml", options.HostPort, options.Namespace, ErrUnreachable, err)
	}
	return engine, nil
}

// options are those of the connection: the embedded engine's where nothing names another.
func options(from envconfig.LoadClientOptionsRequest) (client.Options, error) {
	options, err := envconfig.LoadClientOptions(from)
	if err != nil {
		return options, fmt.Errorf("read the engine's connection settings: %w; see TEMPORAL_ADDRESS, TEMPORAL_PROFILE and TEMPORAL_CONFIG_FILE", err)
	}
	if options.HostPort == "" {
		options.HostPort = client.DefaultHostPort
	}
	if options.Namespace == "" {
		options.Namespace = client.DefaultNamespace
	}
	return options, nil
}

// Retention returns how long the engine keeps closed workflows of the namespace that
// Engine connects to.
func Retention(ctx context.Context, engine client.Client) (time.Duration, error) {
	options, err := options(envconfig.LoadClientOptionsRequest{})
	if err != nil {
		return 0, err
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	d, err := engine.WorkflowService().DescribeNamespace(bounded, &workflowservice.DescribeNamespaceRequest{Namespace: options.Namespace})
	if err != nil {
		return 0, fmt.Errorf("read the retention of namespace %s: %w", options.Namespace, err)
	}
	return d.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration(), nil
}

// Healthy says whether the engine answers now.
func Healthy(ctx context.Context, engine client.Client) error {
	if _, err := engine.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("check the engine's health: %w: %w", ErrUnreachable, err)
	}
	return nil
}
