package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
	"go.uber.org/zap"
)

const (
	loopback     = "127.0.0.1"
	clusterName  = "active"
	storeName    = "sqlite"
	startTimeout = time.Minute // generous: a busy build machine is slow
	stopTimeout  = 20 * time.Second
)

// tuning differs from the server's defaults, which are made for clusters with many shards and hosts.
var tuning = dynamicconfig.StaticClient{
	// With one shard, 20 polls per second mean that every task waits for a 50 ms tick.
	dynamicconfig.TransferProcessorMaxPollRPS.Key():   2000,
	dynamicconfig.TimerProcessorMaxPollRPS.Key():      2000,
	dynamicconfig.VisibilityProcessorMaxPollRPS.Key(): 2000,
	dynamicconfig.OutboundProcessorMaxPollRPS.Key():   2000,
	// One partition per task queue: a queue's rate limit and priorities then hold for the queue as a whole, and
	// no task is forwarded between partitions of the same process.
	dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
	dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
	// The default, 10 lists and counts per second, is less than one sweep of reconciliation and one open UI need.
	dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Key(): 200,
	// The default fills gigabytes with cached workflows.
	dynamicconfig.HistoryCacheHostLevelMaxSize.Key(): 8192,
	// Nothing leaves this machine.
	dynamicconfig.EnableServerVersionCheck.Key(): false,
}

// engine is the running server, its UI and its database.
type engine struct {
	server   temporal.Server
	web      *uiserver.Server // nil: headless
	database *database
	logLevel zap.AtomicLevel
	frontend string // host:port
	ui       string // URL, empty: headless
}

// startEngine returns when the namespace and its search attributes can be used.
func startEngine(ctx context.Context, set settings) (_ *engine, err error) {
	e := &engine{}
	if e.logLevel, err = zap.ParseAtomicLevel(set.logLevel); err != nil {
		return nil, fmt.Errorf("reading --log-level: %w", err)
	}
	defer quieten(e.logLevel)()
	if e.database, err = openDatabase(ctx, set.db, set.durable); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop())
		}
	}()
	if err := ensureNamespace(ctx, e.database.config, set.namespace, set.retention); err != nil {
		return nil, err
	}
	// As late as possible: between choosing a port and listening on it somebody else could take it.
	ports, err := choosePorts(set)
	if err != nil {
		return nil, err
	}
	e.frontend = net.JoinHostPort(reachable(set.ip), strconv.Itoa(ports.frontend))
	options, err := serverOptions(serverConfig(set, e.database.config, ports), newLogger(e.logLevel))
	if err != nil {
		return nil, err
	}
	server, err := temporal.NewServer(options...)
	if err != nil {
		return nil, fmt.Errorf("configuring the Temporal server: %w", err)
	}
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("starting the Temporal server: %w; --log-level info shows more", err)
	}
	e.server = server
	if set.uiPort >= 0 {
		e.web = newUI(set.ip, ports.ui, e.frontend, set.namespace)
		e.ui = uiURL(set.ip, ports.ui)
		go func() { _ = e.web.Start() }() // returns at stop; if it cannot listen it ends the process by itself
	}
	return e, e.waitUntilUsable(ctx, set.namespace)
}

// stop ends the UI and the server, then closes the database. What was acknowledged is in the database already, so
// that a stop which takes too long is given up without loss.
func (e *engine) stop() error {
	defer quieten(e.logLevel)()
	done := make(chan error, 1)
	go func() {
		if e.web != nil {
			e.web.Stop()
		}
		if e.server != nil {
			if err := e.server.Stop(); err != nil {
				done <- fmt.Errorf("stopping the Temporal server: %w", err)
				return
			}
		}
		done <- e.database.close()
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(stopTimeout):
		return fmt.Errorf("stopping the Temporal server took longer than %s; ended it, no state is lost", stopTimeout)
	}
}

// serverOptions assembles the server: all four services in this process, found at fixed addresses, no authorization.
func serverOptions(cfg *config.Config, logger log.Logger) ([]temporal.ServerOption, error) {
	authorizer, err := authorization.GetAuthorizerFromConfig(&cfg.Global.Authorization)
	if err != nil {
		return nil, fmt.Errorf("configuring the authorization: %w", err)
	}
	claims, err := authorization.GetClaimMapperFromConfig(&cfg.Global.Authorization, logger)
	if err != nil {
		return nil, fmt.Errorf("configuring the authorization: %w", err)
	}
	hosts := map[primitives.ServiceName]static.Hosts{}
	for name, service := range cfg.Services {
		host := net.JoinHostPort(reachable(service.RPC.BindOnIP), strconv.Itoa(service.RPC.GRPCPort))
		hosts[primitives.ServiceName(name)] = static.SingleLocalHost(host)
	}
	return []temporal.ServerOption{
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithDynamicConfigClient(tuning),
		temporal.WithLogger(logger),
		temporal.WithAuthorizer(authorizer),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return claims }),
	}, nil
}

func serverConfig(set settings, store *config.SQL, ports ports) *config.Config {
	frontend := net.JoinHostPort(reachable(set.ip), strconv.Itoa(ports.frontend))
	cfg := &config.Config{
		Persistence: config.Persistence{
			DefaultStore:     storeName,
			VisibilityStore:  storeName,
			NumHistoryShards: 1, // SQLite has one writer; the number can never be changed for a database
			DataStores:       map[string]config.DataStore{storeName: {SQL: store}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		PublicClient:        config.PublicClient{HostPort: frontend},
		Services: map[string]config.Service{
			string(primitives.FrontendService): {RPC: config.RPC{GRPCPort: ports.frontend, BindOnIP: set.ip}},
			string(primitives.HistoryService):  {RPC: config.RPC{GRPCPort: ports.history, BindOnIP: loopback}},
			string(primitives.MatchingService): {RPC: config.RPC{GRPCPort: ports.matching, BindOnIP: loopback}},
			string(primitives.WorkerService):   {RPC: config.RPC{GRPCPort: ports.worker, BindOnIP: loopback}},
		},
	}
	cfg.Global.Membership.MaxJoinDuration = 30 * time.Second
	cfg.Global.Membership.BroadcastAddress = loopback
	cfg.Archival.History.State = "disabled"
	cfg.Archival.Visibility.State = "disabled"
	cfg.NamespaceDefaults.Archival.History.State = "disabled"
	cfg.NamespaceDefaults.Archival.Visibility.State = "disabled"
	return cfg
}

// ports are where the services listen. All but the frontend and the UI are for the server itself.
type ports struct{ frontend, ui, history, matching, worker int }

// choosePorts checks the given ports and finds free ones for the rest. It holds each until all are chosen, so that
// no two are the same.
func choosePorts(set settings) (ports, error) {
	var chosen ports
	wanted := []struct {
		ip   string
		port int
		flag string
		to   *int
	}{
		{set.ip, set.port, "--port", &chosen.frontend},
		{set.ip, set.uiPort, "--ui-port", &chosen.ui},
		{loopback, 0, "", &chosen.history},
		{loopback, 0, "", &chosen.matching},
		{loopback, 0, "", &chosen.worker},
	}
	for _, w := range wanted {
		if w.port < 0 {
			continue
		}
		listener, err := net.Listen("tcp", net.JoinHostPort(w.ip, strconv.Itoa(w.port)))
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return ports{}, fmt.Errorf("port %d on %s is in use: stop the program that listens there, or choose another port with %s (0 picks a free one)", w.port, w.ip, w.flag)
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			return ports{}, fmt.Errorf("this machine has no address %s; give one of its own with --ip", w.ip)
		case err != nil:
			return ports{}, fmt.Errorf("listening on port %d of %s: %w; choose another port with %s", w.port, w.ip, err, w.flag)
		}
		defer func() { _ = listener.Close() }()
		*w.to = listener.Addr().(*net.TCPAddr).Port
	}
	return chosen, nil
}

// reachable is the address at which a program on this machine finds what listens on ip.
func reachable(ip string) string {
	address := net.ParseIP(ip)
	if !address.IsUnspecified() {
		return ip
	}
	if address.To4() == nil {
		return net.IPv6loopback.String()
	}
	return loopback
}
