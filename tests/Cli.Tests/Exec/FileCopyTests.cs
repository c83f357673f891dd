using System.IO;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Exec;
using Quietus.Cli.Processes;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Exec;

/// <summary>What <c>--copy-in</c> and <c>--copy-out</c> take.</summary>
public sealed class FileCopyTests
{
    [Fact]
    public void A_folder_is_told_by_what_it_is_here_and_by_its_last_slash_there()
    {
        using var folder = new RunFolder();
        string file = Path.Combine(folder.Path, "file");
        File.WriteAllText(file, "x");
        FileCopy.ReadIn($"{file}:/a").IsFolder.ShouldBeFalse();
        FileCopy.ReadIn($"{folder.Path}:/a").IsFolder.ShouldBeTrue();
        FileCopy.ReadOut($"/a:{file}").IsFolder.ShouldBeFalse();
        FileCopy.ReadOut($"/a/:{folder.Path}/new").IsFolder.ShouldBeTrue();
    }

    [Fact]
    public void A_folder_comes_out_to_where_nothing_is()
    {
        using var folder = new RunFolder();
        Should.Throw<CliException>(() => FileCopy.ReadOut($"/a/:{folder.Path}")).Message.ShouldContain("there already");
        Should.Throw<CliException>(() => FileCopy.ReadOut($"/a/:{folder.Path}/none/new"));
        Should.Throw<CliException>(() => FileCopy.ReadOut($"/a:{folder.Path}"));
        Should.Throw<CliException>(() => FileCopy.ReadIn($"{folder.Path}/none:/a"));
        Should.Throw<CliException>(() => FileCopy.ReadIn("/dev/null:/a")).Message.ShouldContain("none");
    }
}
