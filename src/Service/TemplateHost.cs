using System;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Serve;
using Quietus.Cli.Templates;
using Quietus.Cli.Terminals;

namespace Quietus.Service;

/// <summary>
/// A template that is held warm: its machine, started anew when it dies, and the places for VMs in it. A job gets a
/// place at once, waits for one, or is refused.
/// </summary>
internal sealed class TemplateHost : IAsyncDisposable
{
    private static readonly TimeSpan _firstPause = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan _longestPause = TimeSpan.FromMinutes(1);

    private readonly Func<CancellationToken, Task<TemplateMachine>> _start;
    private readonly Action _forget;
    private readonly int _mostVms;
    private readonly int _mostWaiting;
    private readonly SemaphoreSlim _places;
    private readonly CancellationTokenSource _stop = new();
    private Task _keeping = Task.CompletedTask;
    private volatile TemplateMachine? _machine;
    private volatile string? _failure;
    private int _waiting;
    private int _starts;

    /// <param name="name">By which it is asked for.</param>
    /// <param name="recipe">How programs start in it.</param>
    /// <param name="plan">The limits.</param>
    /// <param name="machineBytes">Memory of its machine.</param>
    /// <param name="start">Starts a machine for it.</param>
    /// <param name="forget">Removes what was written for it.</param>
    public TemplateHost(
        string name, TemplateRecipe recipe, ServePlan plan, long machineBytes,
        Func<CancellationToken, Task<TemplateMachine>> start, Action forget)
    {
        Name = name;
        Recipe = recipe;
        MachineBytes = machineBytes;
        _start = start;
        _forget = forget;
        _mostVms = plan.MostVms;
        _mostWaiting = plan.MostWaiting;
        _places = new SemaphoreSlim(plan.MostVms);
    }

    public string Name { get; }

    public TemplateRecipe Recipe { get; }

    /// <summary>Memory of its machine.</summary>
    public long MachineBytes { get; }

    /// <summary>The machine; null while there is none that is ready.</summary>
    public TemplateMachine? Machine => _machine;

    public TemplateState State => new(
        Name, _machine is not null ? "ready" : _failure is null ? "starting" : "failed", _failure, Recipe.MemoryBytes,
        Recipe.Cpus, _mostVms - _places.CurrentCount, _mostVms, Volatile.Read(ref _waiting),
        Volatile.Read(ref _starts), CommonOptions.NetworkOf(Recipe.HasNetwork));

    /// <summary>Starts the machine, and again whenever it ends, until this is disposed.</summary>
    public void Start() => _keeping = Task.Run(KeepAsync);

    /// <summary>
    /// A place for a VM; dispose it when the VM is dead. A <see cref="ServiceException"/> where the template is not
    /// ready, or too many wait already.
    /// </summary>
    /// <param name="mayWait">Whether to wait for one.</param>
    /// <param name="cancellation">Gives it up.</param>
    public async Task<Place> EnterAsync(bool mayWait, CancellationToken cancellation)
    {
        CheckReady();
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _stop.Token);
        if (!_places.Wait(0, CancellationToken.None))
        {
            if (!mayWait)
            {
                throw new ServiceException(
                    ServiceException.TooMany, $"all {_mostVms} VMs of '{Name}' are in use", "kill one, or try later");
            }

            await WaitAsync(either.Token, cancellation).ConfigureAwait(false);
        }

        // The machine may have died while this waited.
        if (_machine is { } machine)
        {
            return new Place(_places, machine);
        }

        _places.Release();
        CheckReady();
        throw NotReady();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _keeping.ConfigureAwait(false);
        _forget();

        // Neither the token's source nor the places are disposed of: a request that found this host a moment ago may
        // look at them, and they hold nothing of the system's.
    }

    /// <param name="either">The caller gives it up, or this template is held no more.</param>
    /// <param name="caller">The caller gives it up.</param>
    private async Task WaitAsync(CancellationToken either, CancellationToken caller)
    {
        try
        {
            if (Interlocked.Increment(ref _waiting) > _mostWaiting)
            {
                throw new ServiceException(
                    ServiceException.TooMany, $"{_mostWaiting} jobs of '{Name}' wait for a VM already",
                    "try again later");
            }

            await _places.WaitAsync(either).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!caller.IsCancellationRequested)
        {
            throw NotReady();
        }
        finally
        {
            Interlocked.Decrement(ref _waiting);
        }
    }

    private void CheckReady()
    {
        if (_machine is null)
        {
            throw NotReady();
        }
    }

    private ServiceException NotReady() => new(
        ServiceException.Unavailable,
        _failure is { } failure ? $"'{Name}' has failed, and is started anew: {failure}" : $"'{Name}' is not ready yet",
        "try again in a few seconds");

    private async Task KeepAsync()
    {
        TimeSpan pause = _firstPause;
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                Interlocked.Increment(ref _starts);
                TemplateMachine machine = await _start(_stop.Token).ConfigureAwait(false);
                await using (machine.ConfigureAwait(false))
                {
                    (_machine, _failure) = (machine, null);
                    Notice.Write($"template {Name} is ready");
                    pause = _firstPause;
                    Exception reason = await machine.Ended.WaitAsync(_stop.Token).ConfigureAwait(false);
                    _failure = Printable.Line(reason.Message);
                    _machine = null;
                }
            }
            catch (Exception) when (_stop.IsCancellationRequested)
            {
                break;
            }
            catch (Exception error) when (!_stop.IsCancellationRequested)
            {
                // No room on the disk for the guest's files, no memory for QEMU, a guest that does not come up:
                // whatever it is, the next try may do better, and clients are told meanwhile.
                _failure = Printable.Line(error.Message);
            }

            Notice.Write($"template {Name} has failed and is started anew: {_failure}");
            await Task.WhenAny(Task.Delay(pause, _stop.Token)).ConfigureAwait(false);
            pause = pause * 2 < _longestPause ? pause * 2 : _longestPause;
        }

        _machine = null;
    }

    /// <summary>A place in a machine for one VM.</summary>
    internal sealed class Place(SemaphoreSlim places, TemplateMachine machine) : IDisposable
    {
        private int _isLeft;

        public TemplateMachine Machine => machine;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _isLeft, 1) == 0)
            {
                try
                {
                    places.Release();
                }
                catch (ObjectDisposedException)
                {
                    // The server has stopped.
                }
            }
        }
    }
}
