using System.Threading;
using System.Threading.Tasks;

namespace Quietus.Cli.Jobs;

/// <summary>A program that runs in a VM, and can be told something.</summary>
internal interface IRunningProgram
{
    /// <summary>Sends its process group a signal, by arm64 Linux's number.</summary>
    Task SignalAsync(int signal, CancellationToken cancellation);

    /// <summary>Tells its terminal its size.</summary>
    Task ResizeAsync(int rows, int columns, CancellationToken cancellation);
}
