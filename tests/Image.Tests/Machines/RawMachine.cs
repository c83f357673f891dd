using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Monitoring;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;

namespace Quietus.Image.Tests.Machines;

/// <summary>QEMU with its UART in our hands: for what no well-behaved client sends.</summary>
internal sealed class RawMachine : IAsyncDisposable
{
    private readonly RunFolder _folder;
    private readonly Process _process;
    private readonly StringBuilder _heard = new();
    private MonitorClient? _client;

    private RawMachine(RunFolder folder, Process process)
    {
        _folder = folder;
        _process = process;
    }

    private Stream Input => _process.StandardInput.BaseStream;

    private Stream Output => _process.StandardOutput.BaseStream;

    /// <summary>Starts QEMU with these arguments; nothing is read or written yet.</summary>
    internal static async Task<RawMachine> StartAsync(IReadOnlyList<string> arguments)
    {
        QemuBinary qemu = await QemuBinary.FindAsync(TestMachine.Cancellation).ConfigureAwait(false);
        var folder = new RunFolder();
        Process process = await ChildKeeper.StartAsync(ChildKeeper.Describe(qemu.Path, arguments))
            .ConfigureAwait(false);
        folder.Note(process);
        return new RawMachine(folder, process);
    }

    /// <summary>Sends bytes as they are.</summary>
    internal async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        await Input.WriteAsync(bytes, TestMachine.Cancellation).ConfigureAwait(false);
        await Input.FlushAsync(TestMachine.Cancellation).ConfigureAwait(false);
    }

    /// <summary>Types in text mode, as a person does.</summary>
    internal Task TypeAsync(string text) => SendAsync(Encoding.UTF8.GetBytes(text));

    /// <summary>Reads until the machine has said this; returns all from the last time up to this.</summary>
    internal async Task<string> HearAsync(string wanted)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestMachine.Cancellation);
        limit.CancelAfter(TestMachine.Patience);
        byte[] buffer = new byte[4096];
        try
        {
            while (!_heard.ToString().Contains(wanted, StringComparison.Ordinal))
            {
                int count = await Output.ReadAsync(buffer, limit.Token).ConfigureAwait(false);
                if (count == 0)
                {
                    throw new EndOfStreamException($"the machine has ended without '{wanted}'; it said: {_heard}");
                }

                _heard.Append(Encoding.Latin1.GetString(buffer, 0, count));
            }
        }
        catch (OperationCanceledException) when (!TestMachine.Cancellation.IsCancellationRequested)
        {
            throw new TimeoutException($"waited in vain for '{wanted}'; the machine said: {_heard}");
        }

        string heard = _heard.ToString();
        int end = heard.IndexOf(wanted, StringComparison.Ordinal) + wanted.Length;
        _heard.Remove(0, end);
        return heard[..end];
    }

    /// <summary>The machine switches itself off.</summary>
    internal async Task ShouldEndAsync()
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestMachine.Cancellation);
        limit.CancelAfter(TestMachine.Patience);
        await _process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
    }

    /// <summary>Switches to frames. Reading is the client's from then on; sending is still possible.</summary>
    internal async Task<MonitorClient> ConnectAsync()
    {
        _client = new MonitorClient(
            Input, Output, () => Task.FromResult(new CliException(ExitCode.Failed, "QEMU has ended")));
        await _client.ConnectAsync(TestMachine.Patience, TestMachine.Cancellation).ConfigureAwait(false);
        return _client;
    }

    public async ValueTask DisposeAsync()
    {
        ChildKeeper.Kill(_process);
        if (_client is not null)
        {
            await _client.DisposeAsync().ConfigureAwait(false);
        }

        _process.Dispose();
        _folder.Dispose();
    }
}
