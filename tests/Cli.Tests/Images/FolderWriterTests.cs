using System;
using System.IO;
using Quietus.Cli.Images;
using Quietus.Cli.Processes;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Images;

/// <summary>A guest's folder on this host: all of it is where it was asked for, and nothing of it elsewhere.</summary>
public sealed class FolderWriterTests : IDisposable
{
    private readonly RunFolder _folder = new();

    private string Target => Path.Combine(_folder.Path, "out");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Files_folders_links_and_other_names_are_written_with_their_modes()
    {
        var tree = new ImageTree(ImageLimits.Standard);
        tree.Add("a/b", ImageNode.File(new ContentOfBytes("text"), 0x9ED, modified: 1_000_000_000)); // set-user-ID
        tree.Add("a/link", ImageNode.Link("b"));
        tree.Add("closed", ImageNode.Folder(0x140)); // may be read, not written
        tree.Add("closed/in", ImageNode.File(new ContentOfBytes("x"), 0x180));
        tree.AddName("same", "a/b");
        FolderWriter.Write(tree, Target);
        File.ReadAllText(Path.Combine(Target, "a/link")).ShouldBe("text");
        File.ReadAllText(Path.Combine(Target, "same")).ShouldBe("text");
        File.ReadAllText(Path.Combine(Target, "closed/in")).ShouldBe("x");
        (FileStatus.Of(Path.Combine(Target, "a/b"))!.Mode & 0xFFF).ShouldBe(0x1ED);
        File.GetLastWriteTimeUtc(Path.Combine(Target, "a/b")).ShouldBe(DateTime.UnixEpoch.AddSeconds(1_000_000_000));
        Directory.GetFileSystemEntries(_folder.Path, "out*").ShouldBe([Target]);
    }

    [Fact]
    public void A_link_that_leads_out_is_a_link_and_nothing_is_written_by_way_of_it()
    {
        string outside = Path.Combine(_folder.Path, "outside");
        Directory.CreateDirectory(outside);
        var tree = new ImageTree(ImageLimits.Standard);
        tree.Add("way", ImageNode.Link(outside));
        tree.Add("way/file", ImageNode.File(new ContentOfBytes("x"), 0x1A4)); // the tree follows links within itself
        tree.Add("up", ImageNode.Link("../.."));
        FolderWriter.Write(tree, Target);
        new DirectoryInfo(Path.Combine(Target, "way")).LinkTarget.ShouldBe(outside);
        Directory.GetFileSystemEntries(outside).ShouldBeEmpty();
    }

    [Fact]
    public void A_device_is_an_error_and_nothing_is_left_and_what_is_there_stays()
    {
        var tree = new ImageTree(ImageLimits.Standard);
        tree.Add("a", ImageNode.File(new ContentOfBytes("x"), 0x1A4));
        tree.Add("disk", ImageNode.Device(FileStatus.BlockDevice, (8, 0), 0x1B0, 0, 0, 0));
        Should.Throw<ImageException>(() => FolderWriter.Write(tree, Target)).Message.ShouldContain("'disk'");
        Directory.GetFileSystemEntries(_folder.Path, "out*").ShouldBeEmpty();

        Directory.CreateDirectory(Target);
        File.WriteAllText(Path.Combine(Target, "mine"), "mine");
        var other = new ImageTree(ImageLimits.Standard);
        other.Add("mine", ImageNode.File(new ContentOfBytes("theirs"), 0x1A4));
        Should.Throw<IOException>(() => FolderWriter.Write(other, Target));
        File.ReadAllText(Path.Combine(Target, "mine")).ShouldBe("mine");
    }
}
