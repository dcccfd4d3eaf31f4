# What a help topic sets apart from its prose: blocks that are indented by eight columns and stand behind an empty line.

function Read-Topic {
    <#
    .SYNOPSIS
        The sections of a topic that have blocks, each with its Topic, its Section and its Blocks: their Text and Line.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param([Parameter(Mandatory)] [string] $Path)

    $lines = [System.IO.File]::ReadAllLines($Path)
    $topic = [System.IO.Path]::GetFileName($Path) -replace '\.help\.txt$'
    $section = $null
    for ($i = 0; $i -lt $lines.Count; $i++) {
        if ($lines[$i] -cmatch '^[A-Z]') {
            if ($section.Blocks.Count) { $section }
            $section = @{ Topic = $topic; Section = $lines[$i]; Blocks = [System.Collections.Generic.List[hashtable]]::new() }
        } elseif ($lines[$i] -match '^ {8}' -and $lines[$i - 1] -eq '') {
            $first = $i
            while ($i -lt $lines.Count -and $lines[$i] -match '^( {8}|$)') { $i++ }
            $text = ($lines[$first..($i - 1)] -replace '^ {8}' -join "`n").TrimEnd()
            $section.Blocks.Add(@{ Text = $text; Line = $first + 1; Title = "line $($first + 1): $(($text -split "`n")[0])" })
            $i--
        }
    }

    if ($section.Blocks.Count) { $section }
}

function Read-TopicRow {
    <#
    .SYNOPSIS
        The rows of a block in two columns: their Label, and their Text, which goes on in lines that have no label.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param([Parameter(Mandatory)] [string] $Text)

    $row = $null
    foreach ($line in $Text -split "`n") {
        if ($line -match '^(?<label>\S.*?) {2,}(?<text>\S.*)$') {
            if ($row) { $row }
            $row = @{ Label = $Matches.label; Text = $Matches.text }
        } elseif ($row -and $line -match '^ ') {
            $row.Text += "`n$line"
        } else {
            throw "This is no row of two columns: $line"
        }
    }

    $row
}

function Split-Statement {
    <#
    .SYNOPSIS
        The statements of a piece of script; fails where it is none.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param([Parameter(Mandatory)] [string] $Text)

    $errors = $null
    $tree = [System.Management.Automation.Language.Parser]::ParseInput($Text, [ref]$null, [ref]$errors)
    if ($errors) { throw "$($errors[0].Message) In: $Text" }
    $tree.EndBlock.Statements.Extent.Text
}

Export-ModuleMember -Function Read-Topic, Read-TopicRow, Split-Statement
