using System;
using System.Collections.Generic;
using System.Diagnostics.Metrics;
using System.Linq;
using System.Threading;
using Quietus.Cli.Exec;
using Quietus.Cli.Reports;
using Quietus.Cli.Serve;

namespace Quietus.Service;

/// <summary>What the server counts: its metrics (docs/serve.md), and percentiles of the last jobs.</summary>
internal sealed class Statistics : IDisposable
{
    public const string MeterName = "Quietus.Service";

    /// <summary>Jobs whose times are kept for percentiles.</summary>
    private const int MostKept = 1000;

    private static readonly string[] _steps = ["birth", "first_output", "run", "death", "total"];

    private readonly Meter _meter = new(MeterName);
    private readonly Counter<long> _jobs;
    private readonly Histogram<double> _seconds;
    private readonly Lock _lock = new();
    private readonly Queue<JobTimes> _times = new();

    public Statistics(TemplateHosts hosts)
    {
        _jobs = _meter.CreateCounter<long>("quietus.jobs", description: "Jobs, by how they ended");
        _seconds = _meter.CreateHistogram(
            "quietus.job.step", "s", "What a step of a job took", tags: null,
            new InstrumentAdvice<double>
            {
                HistogramBucketBoundaries = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60],
            });
        Gauge("quietus.vms", "VMs alive", state => state.Vms);
        Gauge("quietus.waiting", "Jobs that wait for a VM", state => state.Waiting);
        Gauge("quietus.machine.starts", "Starts of a template's machine", state => state.Starts);
        Gauge("quietus.machine.ready", "1 where it is ready", state => state.State == "ready" ? 1 : 0);

        void Gauge(string name, string description, Func<TemplateState, long> value) => _meter.CreateObservableGauge(
            name,
            () => hosts.All.Select(host => new Measurement<long>(value(host.State), Tag("template", host.Name))),
            description: description);
    }

    /// <summary>A program has ended, or did not start.</summary>
    public void Ended(string template, JobOutcome outcome)
    {
        _jobs.Add(1, Tag("template", template), Tag("result", outcome.Code == 0 ? "ok" : "code"));
        lock (_lock)
        {
            _times.Enqueue(outcome.Times);
            if (_times.Count > MostKept)
            {
                _times.Dequeue();
            }
        }

        foreach (string step in _steps)
        {
            if (Of(step, outcome.Times) is long nanoseconds)
            {
                _seconds.Record(nanoseconds / 1e9, Tag("template", template), Tag("step", step));
            }
        }
    }

    /// <summary>A job was refused, or what runs it failed, or its client has gone.</summary>
    public void Failed(string template, string how) => _jobs.Add(1, Tag("template", template), Tag("result", how));

    /// <summary>Percentiles of the last jobs' steps.</summary>
    public IReadOnlyList<StepEntry> Steps()
    {
        JobTimes[] times;
        lock (_lock)
        {
            times = [.. _times];
        }

        return [.. _steps.Select(step => (step, All: times.Select(time => Of(step, time)).OfType<long>().ToArray()))
            .Where(entry => entry.All.Length > 0)
            .Select(entry => StepEntry.Of(entry.step, Percentiles.Of(entry.All.Select(time => (double)time))))];
    }

    public void Dispose() => _meter.Dispose();

    private static long? Of(string step, JobTimes times) => step switch
    {
        "birth" => times.BirthNs > 0 ? times.BirthNs : null,
        "first_output" => times.FirstOutputNs,
        "run" => times.RunNs,
        "death" => times.DeathNs > 0 ? times.DeathNs : null,
        _ => times.TotalNs > 0 ? times.TotalNs : null,
    };

    private static KeyValuePair<string, object?> Tag(string name, string value) => new(name, value);
}
