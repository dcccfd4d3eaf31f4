# What a text shows: its sections, and in each what a reader would type, with what is to come back.

$script:prompt = '^(?:\[\w+\]: )?PS(?: [^>]+)?> (?<text>.*)$'

function Get-NewStep {
    <#
    .SYNOPSIS
        Something to type, or a file to write.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param([string] $Kind, [string] $Text, [int] $Line)

    @{ Kind = $Kind; Text = $Text; Line = $Line; Output = [System.Collections.Generic.List[string]]::new(); Interrupted = $false }
}

function Read-CodeBlock {
    <#
    .SYNOPSIS
        The steps of an indented block: lines behind PS> and $, each with its output. ^C ends one that goes on; # is a remark.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param([string[]] $Block, [int] $Line)

    $step = $null
    for ($i = 0; $i -lt $Block.Count; $i++) {
        $text = $Block[$i]
        if ($text -match $script:prompt) {
            if ($step) { $step }
            $step = Get-NewStep -Kind PowerShell -Text $Matches.text -Line ($Line + $i)
        } elseif ($text -match '^\$ (?<text>.*)$') {
            if ($step) { $step }
            $step = Get-NewStep -Kind Shell -Text $Matches.text -Line ($Line + $i)
        } elseif ($text -match '^>> (?<text>.*)$') {
            $step.Text += "`n" + $Matches.text
        } elseif ($text -match '^# ' -and (-not $step -or $Block[$i - 1] -eq '')) {
            continue
        } elseif ($step -and $text -eq '^C') {
            $step.Interrupted = $true
        } elseif ($step) {
            $step.Output.Add($text)
        } elseif ($text) {
            # Neither a command nor what comes of one: nobody can run it.
            $step = Get-NewStep -Kind Unknown -Text $text -Line ($Line + $i)
        }
    }

    if ($step) { $step }
}

function Read-Fence {
    <#
    .SYNOPSIS
        The step of a fenced block: a file, by the name on its first line.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param([string[]] $Block, [int] $Line)

    if ($Block.Count -eq 0 -or $Block[0] -notmatch '^# (?<name>[\w.-]+)$') { return Get-NewStep -Kind Unknown -Text "$Block" -Line $Line }
    $step = Get-NewStep -Kind File -Text ($Block -join "`n") -Line $Line
    $step.Name = $Matches.name
    $step
}

function Read-Readme {
    <#
    .SYNOPSIS
        The sections of a text in Markdown, each with its Title and its Steps.
    #>
    [CmdletBinding()]
    [OutputType([System.Collections.Generic.List[hashtable]])]
    param([Parameter(Mandatory)] [string] $Path)

    $lines = [System.IO.File]::ReadAllLines($Path)
    $sections = [System.Collections.Generic.List[hashtable]]::new()
    $section = @{ Title = ''; Steps = [System.Collections.Generic.List[hashtable]]::new() }
    for ($i = 0; $i -lt $lines.Count; $i++) {
        $block = [System.Collections.Generic.List[string]]::new()
        $first = $i
        if ($lines[$i] -match '^## (?<title>.*)$') {
            $section = @{ Title = $Matches.title; Steps = [System.Collections.Generic.List[hashtable]]::new() }
            $sections.Add($section)
        } elseif ($lines[$i] -match '^```') {
            while ($lines[++$i] -notmatch '^```') { $block.Add($lines[$i]) }
            Read-Fence $block $first | ForEach-Object { $section.Steps.Add($_) }
        } elseif ($lines[$i] -match '^ {4}\S') {
            while ($i -lt $lines.Count -and $lines[$i] -match '^( {4}|$)') { $block.Add(($lines[$i++] -replace '^ {4}')) }
            $i--
            Read-CodeBlock $block ($first + 1) | ForEach-Object { $section.Steps.Add($_) }
        }
    }

    $sections
}

function Get-Shape {
    <#
    .SYNOPSIS
        Lines without what differs from run to run: figures, widths, and how many lines of a kind there are.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param([string[]] $Line)

    $last = $null
    foreach ($text in $Line) {
        $shape = $text -replace '\x1b\[[\d;]*m' -replace 'unix:\S+', 'unix:#' -replace '\d+d\d\dh', '#'
        $shape = $shape -replace '\d[\d.,:]*[KMGT]?\b', '#' -replace '# ([mu]?s|min)\b', '#' -replace '-{2,}', '-' -replace '\s+', ' '
        $shape = $shape.Trim()
        if ($shape -and $shape -ne $last) { $shape }
        $last = $shape
    }
}

function Test-Shape {
    <#
    .SYNOPSIS
        Whether output looks as it is shown; with -Begun whether it does so far, and may go on.
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param([string[]] $Shown, [string[]] $Actual, [switch] $Begun)

    $wanted = (@(Get-Shape $Shown) -join "`n")
    $got = (@(Get-Shape $Actual) -join "`n")
    if ($Begun) { return "$got`n".StartsWith("$wanted`n", [System.StringComparison]::Ordinal) }
    $got -ceq $wanted
}

Export-ModuleMember -Function Read-Readme, Get-Shape, Test-Shape
