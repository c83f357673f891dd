using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Threading;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Campaigns;

/// <summary>
/// Campaigns on a Slurm of the test's own: Debian's munge, controller and two nodes of one CPU, all on this machine, in
/// the test's folder and on ports of their own.
/// </summary>
public sealed class SlurmTests : IDisposable
{
    private static readonly string[] _programs = ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel"];

    private readonly Cli _cli = new();

    public void Dispose()
    {
        _cli.Shell("""
            for p in *.pid; do [ -e "$p" ] && kill -KILL "$(cat "$p")" 2>/dev/null; done
            while pgrep -F ctl.pid >/dev/null 2>&1; do sleep 0.05; done
            exit 0
            """);
        _cli.Dispose();
    }

    [Fact]
    public void An_array_of_8_survives_a_killed_task_and_a_drained_node_and_its_whole_is_the_single_machines()
    {
        StartCluster();
        const string Work = "check --policies fate --steps 80000";
        using Process campaign = _cli.Start(
            [
                "campaign", .. Work.Split(' '), "--on", "slurm", "--shards", "8", "--folder", "f",
                "--shard-memory", "256M",
            ]);

        // The first task that runs is killed, and its node takes no new one for a while.
        string[] victim = [];
        const string Running = "squeue --noheader --array --states=R --format='%F_%K %N'";
        Cli.Wait(
            () => (victim = Slurm(Running).Split('\n')[0].Split(' ')).Length == 2, "no task was started: " + Log());
        Slurm("scancel " + victim[0]);
        Slurm($"scontrol update NodeName={victim[1]} State=DRAIN Reason=test");
        const string Waiting = "squeue --noheader --array --states=PD --format=%K";
        Cli.Wait(() => Slurm(Waiting).Split('\n').Length < 5, "the other node runs nothing");
        Slurm($"scontrol update NodeName={victim[1]} State=RESUME");

        Cli.Outcome outcome = Cli.Finish(campaign, TimeSpan.FromMinutes(3));
        outcome.Code.ShouldBe(0, outcome.Errors + Log());
        outcome.Output.ShouldContain("in 8 of 8 shards");
        outcome.Errors.Split('\n').Count(line => line.Contains("] job ", StringComparison.Ordinal))
            .ShouldBe(2, "the killed task is submitted again, alone: " + outcome.Errors);

        Cli.Outcome alone = _cli.Run(Work.Split(' '));
        outcome.Output.Split(" in ")[0].ReplaceLineEndings(" ").ShouldBe(alone.Output.TrimEnd());
    }

    private void StartCluster()
    {
        string? missing = _programs.FirstOrDefault(
            program => _cli.Shell($"PATH=$PATH:/usr/sbin command -v {program}").Code != 0);
        Assert.SkipWhen(missing is not null, $"{missing} is not installed (Debian: slurm-wlm, munge)");
        Assert.SkipWhen(_cli.Shell("id -u").Output.Trim() != "0", "Slurm's daemons are started as root only");
        string folder = _cli.PathOf(string.Empty).TrimEnd('/');
        int port = 20_000 + ((Environment.ProcessId * 4) % 20_000);
        string host = _cli.Shell("hostname -s").Output.Trim();
        _cli.WriteFile("slurm.conf", System.Text.Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"""
            ClusterName=test
            SlurmctldHost={host}(127.0.0.1)
            SlurmctldPort={port}
            SlurmUser=root
            SlurmdUser=root
            AuthType=auth/munge
            AuthInfo=socket={folder}/munge/socket
            CredType=cred/munge
            StateSaveLocation={folder}/state
            SlurmctldPidFile={folder}/ctl.pid
            SlurmctldLogFile={folder}/ctl.log
            SlurmdPidFile={folder}/%n.pid
            SlurmdLogFile={folder}/%n.log
            SlurmdSpoolDir={folder}/%n
            ProctrackType=proctrack/linuxproc
            TaskPlugin=task/none
            SelectType=select/cons_tres
            SelectTypeParameters=CR_Core
            SwitchType=switch/none
            MpiDefault=none
            ReturnToService=2
            SchedulerParameters=batch_sched_delay=1,sched_interval=1
            AccountingStorageType=accounting_storage/none
            JobAcctGatherType=jobacct_gather/none
            NodeName=n[0-1] NodeHostname={host} NodeAddr=127.0.0.1 Port={port + 1}-{port + 2} CPUs=1 RealMemory=1000
            PartitionName=all Nodes=ALL Default=YES State=UP

            """)));
        _cli.With("SLURM_CONF", folder + "/slurm.conf");
        Cli.Outcome started = _cli.Shell("""
            set -e
            PATH=$PATH:/usr/sbin
            mkdir -p state n0 n1 munge
            chmod 755 .
            head -c 64 /dev/urandom >munge/key
            chmod 600 munge/key
            # munged insists on folders that only root can write: the test's folder lies in /tmp, hence --force.
            munged --force --key-file=munge/key --socket="$PWD/munge/socket" --pid-file="$PWD/munged.pid" \
                --log-file="$PWD/munged.log" --seed-file="$PWD/munge/seed" 2>/dev/null
            slurmctld -f slurm.conf
            slurmd -N n0 -f slurm.conf
            slurmd -N n1 -f slurm.conf
            """);
        started.Code.ShouldBe(0, started.Errors);
        Cli.Wait(() => Slurm("sinfo --noheader --format='%D %t'") == "2 idle", "the cluster is not up: " + Log());
    }

    private string Slurm(string command) => _cli.Shell(command).Output.Trim();

    private string Log() => File.Exists(_cli.PathOf("ctl.log")) ? File.ReadAllText(_cli.PathOf("ctl.log")) : "no log";
}
