using System.Threading.Tasks;

namespace Quietus.Cli.Templates;

/// <summary>A VM of a running machine.</summary>
/// <param name="number">As the monitor's <c>list</c> has it; no other VM of the machine ever has it.</param>
/// <param name="slot">Names its console and its streams.</param>
internal sealed class MachineVm(long number, int slot)
{
    private readonly TaskCompletionSource<string> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _frozen = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public long Number => number;

    public int Slot => slot;

    /// <summary>Complete with the reason when it has ended by itself.</summary>
    public Task<string> Ended => _ended.Task;

    /// <summary>What it printed last on its console.</summary>
    public ConsoleTail Console { get; } = new();

    /// <summary>Complete when it has become a template.</summary>
    public Task Frozen => _frozen.Task;

    public void Freeze() => _frozen.TrySetResult();

    public void End(string reason) => _ended.TrySetResult(reason);
}
