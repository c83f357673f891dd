using System;
using System.Collections.Generic;
using Quietus.Cli.Qemu;
using Quietus.Cli.Serve;
using Quietus.Cli.Templates;

namespace Quietus.Cli.Exec;

/// <summary>Everything that <c>exec</c> is to do, resolved but for what only the image says.</summary>
internal sealed record ExecPlan
{
    public required TemplateRecipe Recipe { get; init; }

    /// <summary>A kept template's name, whose recipe it is then; null for none.</summary>
    public string? Template { get; init; }

    /// <summary>Whether the VM has a network; null for what the kept template says.</summary>
    public bool? HasNetwork { get; init; }

    public required CpuModel Cpu { get; init; }

    public required IReadOnlyList<string> Command { get; init; }

    public IReadOnlyList<string> Environment { get; init; } = [];

    public string? User { get; init; }

    public string? WorkingFolder { get; init; }

    public IReadOnlyList<FileCopy> In { get; init; } = [];

    public IReadOnlyList<FileCopy> Out { get; init; } = [];

    /// <summary>How long each program may take; null for as long as it likes.</summary>
    public TimeSpan? Limit { get; init; }

    /// <summary>How long the machine may take until the first child can be born.</summary>
    public required TimeSpan BootLimit { get; init; }

    /// <summary>The program gets a terminal.</summary>
    public bool HasTerminal { get; init; }

    /// <summary>Standard input goes to the program even from a terminal.</summary>
    public bool IsInteractive { get; init; }

    /// <summary>How often the program runs, each time in a child of its own.</summary>
    public int Repeat { get; init; } = 1;

    /// <summary>How many children live at a time.</summary>
    public int Parallel { get; init; } = 1;

    /// <summary>Where a server may be; null to boot a machine for this run whatever there is.</summary>
    public ServerAddress? Server { get; init; }

    /// <summary>What that server wants to be shown; null for nothing.</summary>
    public string? Token { get; init; }

    /// <summary>Whether it has to be that server.</summary>
    public bool NeedsServer { get; init; }

    /// <summary>What a server would call this template; null where no server can have it.</summary>
    public string? ServerTemplate { get; init; }

    /// <summary>Where the figures go as JSON; null for nowhere.</summary>
    public string? Json { get; init; }

    /// <summary>Figures are wanted, not the program's output.</summary>
    public bool IsMeasured => Repeat > 1;
}
