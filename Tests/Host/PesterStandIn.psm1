<#
    A stand-in for Pester 5, for machines where Pester is not installed. It runs the part of the language that this
    repository's tests use, and fails on anything else.

    Everything here lives in a module of its own and the tests' blocks in the session state that they were written in. So
    dot-sourcing a block from here puts its variables into the tests' current scope, and no variable of this file is ever
    seen by a test. A new scope for the tests is made by the caller's NewScope block, which belongs to their session state.
#>

# What discovery and the run work on; set by Invoke-PesterStandIn.
$script:Run = $null

function Get-NewBlock {
    <#
    .SYNOPSIS
    Returns a block (a file, Describe or Context) without content.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param($Parent, [string] $Name, $Data, [string[]] $Tag, [string] $SkipReason)

    @{
        Kind = 'Block'; Parent = $Parent; Name = $Name; Data = $Data; Tag = $Tag; SkipReason = $SkipReason
        Children = [System.Collections.Generic.List[object]]::new()
        BeforeAll = $null; AfterAll = $null; BeforeEach = $null; AfterEach = $null
    }
}

function Format-Value {
    <#
    .SYNOPSIS
    Writes a value as a failure message shows it.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param($Value)

    if ($null -eq $Value) { return '$null' }
    if ($Value -is [bool]) { return '$' + "$Value".ToLowerInvariant() }
    if ($Value -is [string]) { return "'$Value'" }
    if ($Value -is [type]) { return "[$($Value.FullName)]" }
    if ($Value -is [System.Collections.IDictionary]) {
        return '@{' + (@(foreach ($key in $Value.Keys) { "$key=$(Format-Value $Value[$key])" }) -join '; ') + '}'
    }

    if ($Value -is [System.Collections.IEnumerable]) {
        return '@(' + (@(foreach ($item in $Value) { Format-Value $item }) -join ', ') + ')'
    }

    "$Value"
}

function Format-Name {
    <#
    .SYNOPSIS
    Fills <key>, <key.property> and <_> of a name from the -ForEach data of a test and its blocks.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param([string] $Name, [object[]] $Data)

    [regex]::Replace($Name, '<(?<path>[A-Za-z_][\w.]*)>', {
            param($match)
            $keys = $match.Groups['path'].Value.Split('.')
            for ($level = $Data.Count - 1; $level -ge 0; $level--) {
                $item = $Data[$level].Value
                if ($keys[0] -eq '_') {
                    $value = $item
                }
                elseif ($item -is [System.Collections.IDictionary] -and $item.Contains($keys[0])) {
                    $value = $item[$keys[0]]
                }
                else {
                    continue
                }

                for ($i = 1; $i -lt $keys.Count; $i++) { $value = $value.($keys[$i]) }
                return "$value"
            }

            $match.Value
        })
}

function Get-Lineage {
    <#
    .SYNOPSIS
    Lists a block or test and all above it, outermost first.
    #>
    [CmdletBinding()]
    param([hashtable] $Item)

    $chain = [System.Collections.Generic.List[object]]::new()
    for ($current = $Item; $null -ne $current; $current = $current.Parent) { $chain.Insert(0, $current) }
    , $chain
}

function Import-Data {
    <#
    .SYNOPSIS
    Sets the variables of an item's -ForEach data in the tests' current scope.
    #>
    [CmdletBinding()]
    param([hashtable] $Item)

    if ($null -eq $Item.Data) { return }
    $variables = $script:Run.SessionState.PSVariable
    $value = $Item.Data.Value
    if ($value -is [System.Collections.IDictionary]) {
        foreach ($key in $value.Keys) { $variables.Set($key, $value[$key]) }
    }

    $variables.Set('_', $value)
}

function Add-Item {
    <#
    .SYNOPSIS
    Adds a block or a test to the block that is being discovered, once for each item of its data.
    #>
    [CmdletBinding()]
    param(
        [string] $Kind, [string] $Name, [scriptblock] $Body, [string[]] $Tag, [bool] $Skip,
        [bool] $HasData, $Data, $Position
    )

    if ($null -eq $script:Run -or $null -eq $script:Run.Current) {
        throw "$($Kind): '$Name' stands outside of a file that is being discovered, or within a test."
    }

    if ($null -eq $Body) { throw "$($Kind): '$Name' has no body. (Is its opening brace on the next line?)" }
    $values = if ($HasData) { , @($Data) } else { , @($null) }
    foreach ($value in $values) {
        $wrapped = if ($HasData) { @{ Value = $value } } else { $null }
        $item = Get-NewBlock -Parent $script:Run.Current -Name $Name -Data $wrapped -Tag $Tag -SkipReason $(if ($Skip) { 'marked -Skip' })
        $item.Kind = $Kind
        $item.Body = $Body
        $item.Line = $Position.ScriptLineNumber
        $script:Run.Current.Children.Add($item)
        $lineage = Get-Lineage $item
        $allData = @(foreach ($level in $lineage) { if ($null -ne $level.Data) { $level.Data } })
        $item.Name = Format-Name -Name $Name -Data $allData
        if ($Kind -eq 'It') { continue }
        $script:Run.Current = $item
        try {
            & $script:Run.NewScope {
                Import-Data $item
                do { $null = . $item.Body } while ($false)
            }
        }
        finally {
            $script:Run.Current = $item.Parent
        }
    }
}

function Describe {
    <#
    .SYNOPSIS
    Groups tests.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory, Position = 0)] [string] $Name,
        [Parameter(Position = 1)] [scriptblock] $Fixture,
        [string[]] $Tag,
        [switch] $Skip,
        [AllowNull()] [AllowEmptyCollection()] [Alias('TestCases')] $ForEach
    )

    $hasData = $PSBoundParameters.ContainsKey('ForEach')
    Add-Item -Kind 'Block' -Name $Name -Body $Fixture -Tag $Tag -Skip $Skip -HasData $hasData -Data $ForEach -Position $MyInvocation
}

function Context {
    <#
    .SYNOPSIS
    Groups tests within a group.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory, Position = 0)] [string] $Name,
        [Parameter(Position = 1)] [scriptblock] $Fixture,
        [string[]] $Tag,
        [switch] $Skip,
        [AllowNull()] [AllowEmptyCollection()] [Alias('TestCases')] $ForEach
    )

    $hasData = $PSBoundParameters.ContainsKey('ForEach')
    Add-Item -Kind 'Block' -Name $Name -Body $Fixture -Tag $Tag -Skip $Skip -HasData $hasData -Data $ForEach -Position $MyInvocation
}

function It {
    <#
    .SYNOPSIS
    Declares a test.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory, Position = 0)] [string] $Name,
        [Parameter(Position = 1)] [scriptblock] $Test,
        [string[]] $Tag,
        [switch] $Skip,
        [AllowNull()] [AllowEmptyCollection()] [Alias('TestCases')] $ForEach
    )

    $hasData = $PSBoundParameters.ContainsKey('ForEach')
    Add-Item -Kind 'It' -Name $Name -Body $Test -Tag $Tag -Skip $Skip -HasData $hasData -Data $ForEach -Position $MyInvocation
}

function Add-Hook {
    <#
    .SYNOPSIS
    Notes a block's BeforeAll and the like.
    #>
    [CmdletBinding()]
    param([string] $Kind, [scriptblock] $ScriptBlock)

    if ($null -eq $script:Run -or $null -eq $script:Run.Current) { throw "$Kind stands outside of a file that is being discovered." }
    if ($null -ne $script:Run.Current[$Kind]) { throw "There is more than one $Kind in '$($script:Run.Current.Name)'." }
    $script:Run.Current[$Kind] = $ScriptBlock
}

function BeforeAll {
    <#
    .SYNOPSIS
    Runs once before the tests of the block; its variables are seen by them.
    #>
    [CmdletBinding()]
    param([Parameter(Mandatory, Position = 0)] [scriptblock] $ScriptBlock)

    Add-Hook -Kind 'BeforeAll' -ScriptBlock $ScriptBlock
}

function AfterAll {
    <#
    .SYNOPSIS
    Runs once after the tests of the block, whatever became of them.
    #>
    [CmdletBinding()]
    param([Parameter(Mandatory, Position = 0)] [scriptblock] $ScriptBlock)

    Add-Hook -Kind 'AfterAll' -ScriptBlock $ScriptBlock
}

function BeforeEach {
    <#
    .SYNOPSIS
    Runs before each test of the block, in the test's scope.
    #>
    [CmdletBinding()]
    param([Parameter(Mandatory, Position = 0)] [scriptblock] $ScriptBlock)

    Add-Hook -Kind 'BeforeEach' -ScriptBlock $ScriptBlock
}

function AfterEach {
    <#
    .SYNOPSIS
    Runs after each test of the block, in the test's scope.
    #>
    [CmdletBinding()]
    param([Parameter(Mandatory, Position = 0)] [scriptblock] $ScriptBlock)

    Add-Hook -Kind 'AfterEach' -ScriptBlock $ScriptBlock
}

function BeforeDiscovery {
    <#
    .SYNOPSIS
    Runs at once, in the scope that is being discovered.
    #>
    [CmdletBinding()]
    param([Parameter(Mandatory, Position = 0)] [scriptblock] $ScriptBlock)

    . $ScriptBlock
}

function Set-ItResult {
    <#
    .SYNOPSIS
    Ends the test as skipped or inconclusive.
    #>
    [CmdletBinding(SupportsShouldProcess)]
    param([switch] $Skipped, [switch] $Inconclusive, [string] $Because)

    if ($Skipped -eq $Inconclusive) { throw 'Set-ItResult: give one of -Skipped and -Inconclusive.' }
    if ($PSCmdlet.ShouldProcess('the running test')) {
        $outcome = if ($Skipped) { 'Skipped' } else { 'Inconclusive' }
        $exception = [System.Exception]::new($Because)
        $exception.Data['PesterStandInOutcome'] = $outcome
        throw $exception
    }
}

function Test-Same {
    <#
    .SYNOPSIS
    Compares as -Be does: element by element, the expected value on the left.
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param($Actual, $Expected, [bool] $CaseSensitive)

    $left = @($Expected)
    $right = @($Actual)
    $isList = { param($value) $value -is [array] }
    $isNothing = { param($list) $list.Count -eq 0 -or ($list.Count -eq 1 -and $null -eq $list[0]) }
    $noneLeft = & $isNothing $left
    $noneRight = & $isNothing $right
    if ($noneLeft -or $noneRight) { return $noneLeft -and $noneRight }
    if ($left.Count -ne $right.Count) { return $false }
    for ($i = 0; $i -lt $left.Count; $i++) {
        if ((& $isList $left[$i]) -or (& $isList $right[$i])) {
            if (-not (Test-Same -Actual $right[$i] -Expected $left[$i] -CaseSensitive $CaseSensitive)) { return $false }
        }
        elseif ($CaseSensitive) {
            if (-not ($left[$i] -ceq $right[$i])) { return $false }
        }
        elseif (-not ($left[$i] -eq $right[$i])) {
            return $false
        }
    }

    $true
}

function Invoke-ThrowAssertion {
    <#
    .SYNOPSIS
    Runs a block and holds what it throws against what was expected; returns the complaint and the error record.
    #>
    [CmdletBinding()]
    [OutputType([hashtable])]
    param($Block, [bool] $Negate, [string] $Message, [string] $ErrorId, [type] $ExceptionType)

    if ($Block -isnot [scriptblock]) { return @{ Complaint = 'Input to Should -Throw must be a script block.' } }
    $caught = $null
    try {
        do { $null = & $Block } while ($false)
    }
    catch {
        $caught = $_
    }

    if ($Negate) {
        if ($null -eq $caught) { return @{} }
        return @{ Complaint = "Expected no exception to be thrown, but '$($caught.Exception.Message)' was." }
    }

    if ($null -eq $caught) { return @{ Complaint = 'Expected an exception to be thrown, but none was.' } }
    $complaints = @(
        if ($null -ne $ExceptionType -and $caught.Exception -isnot $ExceptionType) {
            "of type [$($ExceptionType.FullName)], but it was [$($caught.Exception.GetType().FullName)]"
        }
        if ($Message -and $caught.Exception.Message -notlike $Message) {
            "with a message like '$Message', but it was '$($caught.Exception.Message)'"
        }
        if ($ErrorId -and $caught.FullyQualifiedErrorId -notlike $ErrorId) {
            "with the FullyQualifiedErrorId '$ErrorId', but it was '$($caught.FullyQualifiedErrorId)'"
        }
    )
    if ($complaints.Count -gt 0) { return @{ Complaint = 'Expected an exception ' + ($complaints -join ', and ') } }
    @{ Record = $caught }
}

function Get-Complaint {
    <#
    .SYNOPSIS
    Applies an operator to a value; returns what is wrong, or nothing.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param([string] $Operator, $Actual, $Expected, [bool] $Negate)

    $shown = Format-Value $(if ($Actual -is [array] -and $Actual.Count -eq 1) { $Actual[0] } else { $Actual })
    $wanted = Format-Value $Expected
    $type = $Expected
    if ($Operator -eq 'BeOfType' -and $Expected -is [string]) {
        $type = $Expected.Trim('[', ']') -as [type]
        if ($null -eq $type) { return "There is no type '$Expected'." }
    }

    $holds, $text = switch ($Operator) {
        'Be' { (Test-Same -Actual $Actual -Expected $Expected -CaseSensitive $false), "be $wanted" }
        'BeExactly' { (Test-Same -Actual $Actual -Expected $Expected -CaseSensitive $true), "be exactly $wanted" }
        'BeNullOrEmpty' {
            $single = if ($Actual -is [array] -and $Actual.Count -eq 1) { $Actual[0] } else { $Actual }
            $isCollection = $single -is [array] -or $single -is [System.Collections.IDictionary]
            $isEmpty = ($single -is [string] -and $single.Length -eq 0) -or ($isCollection -and $single.Count -eq 0)
            ($null -eq $single -or $isEmpty), 'be null or empty'
        }
        'BeTrue' { [bool]$Actual, 'be true' }
        'BeFalse' { (-not $Actual), 'be false' }
        'BeGreaterThan' { (-not ($Actual -le $Expected)), "be greater than $wanted" }
        'BeLessThan' { (-not ($Actual -ge $Expected)), "be less than $wanted" }
        'BeGreaterOrEqual' { (-not ($Actual -lt $Expected)), "be at least $wanted" }
        'BeLessOrEqual' { (-not ($Actual -gt $Expected)), "be at most $wanted" }
        'BeOfType' { ($Actual -is $type), "be of type $(Format-Value $type)" }
        'BeLike' { ($Actual -like $Expected), "be like $wanted" }
        'Match' { ($Actual -match $Expected), "match $wanted" }
        'Contain' { ($Actual -contains $Expected), "contain $wanted" }
        'BeIn' { ($Expected -contains $Actual), "be in $wanted" }
        'HaveCount' { (@($Actual).Count -eq $Expected), "have the count $wanted" }
    }
    if ($holds -eq $Negate) {
        $count = if ($Operator -eq 'HaveCount') { "$(@($Actual).Count): " } else { '' }
        "Expected the value $(if ($Negate) { 'not ' })to $text, but got $count$shown."
    }
}

function Should {
    <#
    .SYNOPSIS
    Fails the test unless the value is as the operator says.
    #>
    [CmdletBinding()]
    param(
        [Parameter(ValueFromPipeline)] [AllowNull()] [AllowEmptyCollection()] [AllowEmptyString()] $ActualValue,
        [Parameter(Position = 0)] [AllowNull()] [AllowEmptyCollection()] [AllowEmptyString()]
        [Alias('ExpectedType', 'RegularExpression')] $ExpectedValue,
        [switch] $Be, [switch] $BeExactly, [switch] $BeNullOrEmpty, [switch] $BeTrue, [switch] $BeFalse,
        [switch] $BeGreaterThan, [switch] $BeLessThan, [switch] $BeGreaterOrEqual, [switch] $BeLessOrEqual,
        [switch] $BeOfType, [switch] $BeLike, [switch] $Match, [switch] $Contain, [switch] $BeIn, [switch] $HaveCount,
        [switch] $Throw, [string] $ErrorId, [string] $ExpectedMessage, [type] $ExceptionType, [switch] $PassThru,
        [switch] $Not,
        [string] $Because
    )

    begin {
        $operators = 'Be', 'BeExactly', 'BeNullOrEmpty', 'BeTrue', 'BeFalse', 'BeGreaterThan', 'BeLessThan', 'BeGreaterOrEqual',
        'BeLessOrEqual', 'BeOfType', 'BeLike', 'Match', 'Contain', 'BeIn', 'HaveCount', 'Throw'
        $given = @(foreach ($name in $operators) { if ($PSBoundParameters.ContainsKey($name)) { $name } })
        if ($given.Count -ne 1) { throw "Should needs one operator, and got $($given.Count): $($given -join ', ')." }
        $operator = $given[0]
        if ($operator -ne 'Throw' -and ($ErrorId -or $ExpectedMessage -or $null -ne $ExceptionType -or $PassThru)) {
            throw "Should -$($operator): -ErrorId, -ExpectedMessage, -ExceptionType and -PassThru belong to -Throw."
        }

        $hasExpected = $PSBoundParameters.ContainsKey('ExpectedValue')
        $takesNone = $operator -in 'BeNullOrEmpty', 'BeTrue', 'BeFalse'
        if ($operator -ne 'Throw' -and $hasExpected -eq $takesNone) {
            throw "Should -$operator $(if ($takesNone) { 'takes no' } else { 'needs an' }) expected value."
        }

        $values = [System.Collections.Generic.List[object]]::new()
    }

    process {
        $values.Add($ActualValue)
    }

    end {
        if (-not $MyInvocation.ExpectingInput -and $PSBoundParameters.ContainsKey('ActualValue')) {
            $values = [System.Collections.Generic.List[object]]@($ActualValue)
        }

        $complaints = @(
            if ($operator -eq 'Throw') {
                if ($hasExpected) { $ExpectedMessage = $ExpectedValue }
                $block = if ($values.Count -gt 0) { $values[0] } else { $null }
                $expectation = @{ Negate = $Not; Message = $ExpectedMessage; ErrorId = $ErrorId; ExceptionType = $ExceptionType }
                $result = Invoke-ThrowAssertion -Block $block @expectation
                $result.Complaint
            }
            elseif ($values.Count -eq 0) {
                $nothing = if ($operator -eq 'HaveCount') { , @() } else { $null }
                Get-Complaint -Operator $operator -Actual $nothing -Expected $ExpectedValue -Negate $Not
            }
            elseif ($operator -in 'Be', 'BeExactly', 'BeNullOrEmpty', 'Contain', 'HaveCount') {
                Get-Complaint -Operator $operator -Actual $values.ToArray() -Expected $ExpectedValue -Negate $Not
            }
            else {
                foreach ($value in $values) {
                    Get-Complaint -Operator $operator -Actual $value -Expected $ExpectedValue -Negate $Not
                }
            }
        )

        foreach ($complaint in $complaints) {
            if ($complaint) {
                if ($Because) { $complaint += " Because $Because." }
                $record = [System.Management.Automation.ErrorRecord]::new(
                    [System.Exception]::new($complaint), 'PesterAssertionFailed', 'InvalidResult', $null)
                $PSCmdlet.ThrowTerminatingError($record)
            }
        }

        if ($PassThru) { $result.Record }
    }
}

function Get-Failure {
    <#
    .SYNOPSIS
    Describes a caught error: its message, and where in the tests it came from.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param([System.Management.Automation.ErrorRecord] $Record, [string] $During)

    $where = @("$($Record.ScriptStackTrace)".Split("`n") -match [regex]::Escape($script:Run.Path))
    $lines = @(
        if ($During) { "$During failed: $($Record.Exception.Message)" } else { $Record.Exception.Message }
        if ($where.Count -gt 0) { $where[0].Trim() }
        $id = $Record.FullyQualifiedErrorId
        if ($id -notmatch 'PesterAssertionFailed' -and $id -ne $Record.Exception.Message) { "($id)" }
    )
    $lines -join "`n"
}

function Write-Result {
    <#
    .SYNOPSIS
    Shows a test's outcome, and hands it to the caller.
    #>
    [CmdletBinding()]
    param([hashtable] $Item, [string] $Outcome, [string] $Message, [timespan] $Duration)

    $names = @(foreach ($level in (Get-Lineage $Item)) { if ($level.Name) { $level.Name } })
    $mark, $color = switch ($Outcome) {
        'Passed' { '[+]', 'Green' }
        'Skipped' { '[!]', 'Yellow' }
        'Inconclusive' { '[?]', 'Yellow' }
        'Discovered' { '[ ]', 'Gray' }
        default { '[-]', 'Red' }
    }
    $name = $names -join ' '
    $text = "$mark $name"
    if ($Outcome -eq 'Skipped' -or $Outcome -eq 'Inconclusive') { $text += ", because $Message" }
    if ($Outcome -ne 'Discovered') { $text += " $([int]$Duration.TotalMilliseconds)ms" }
    if ($Outcome -eq 'Failed' -or $Outcome -eq 'DiscoveryFailed') { $text += "`n    " + $Message.Replace("`n", "`n    ") }
    $Host.UI.WriteLine($color, $Host.UI.RawUI.BackgroundColor, $text)
    [pscustomobject]@{
        File = $script:Run.Path; Line = [int]$Item.Line; Name = $name; Outcome = $Outcome; Duration = $Duration; Message = $Message
    }
}

function Get-SkipReason {
    <#
    .SYNOPSIS
    Returns why a test is not run, or nothing.
    #>
    [CmdletBinding()]
    [OutputType([string])]
    param([hashtable] $Item)

    foreach ($level in (Get-Lineage $Item)) {
        if ($level.SkipReason) { return $level.SkipReason }
        foreach ($name in $level.Tag) {
            foreach ($pattern in $script:Run.SkipTag.Keys) {
                if ($name -like $pattern) { return $script:Run.SkipTag[$pattern] }
            }
        }
    }
}

function Test-Wanted {
    <#
    .SYNOPSIS
    Tells whether a test passes the tag filters.
    #>
    [CmdletBinding()]
    [OutputType([bool])]
    param([hashtable] $Item)

    $tags = @(foreach ($level in (Get-Lineage $Item)) { $level.Tag })
    $included = -not $script:Run.Tag
    foreach ($name in $tags) {
        foreach ($pattern in $script:Run.ExcludeTag) { if ($name -like $pattern) { return $false } }
        foreach ($pattern in $script:Run.Tag) { if ($name -like $pattern) { $included = $true } }
    }

    $included
}

function Get-Test {
    <#
    .SYNOPSIS
    Lists the tests below a block that pass the tag filters, in their order.
    #>
    [CmdletBinding()]
    param([hashtable] $Block)

    foreach ($child in $Block.Children) {
        if ($child.Kind -ne 'It') { Get-Test $child }
        elseif (Test-Wanted $child) { $child }
    }
}

function Invoke-Test {
    <#
    .SYNOPSIS
    Runs one test in a scope of its own, with the BeforeEach and AfterEach blocks around it.
    #>
    [CmdletBinding()]
    param([hashtable] $Item)

    $reason = Get-SkipReason $Item
    if ($reason) { return Write-Result -Item $Item -Outcome 'Skipped' -Message $reason }
    $state = @{ Outcome = 'Passed'; Message = '' }
    $clock = [System.Diagnostics.Stopwatch]::StartNew()
    & $script:Run.NewScope {
        $blocks = Get-Lineage $Item.Parent
        try {
            Import-Data $Item
            foreach ($block in $blocks) {
                if ($block.BeforeEach) { do { $null = . $block.BeforeEach } while ($false) }
            }

            do { $null = . $Item.Body } while ($false)
        }
        catch {
            $given = $_.Exception.Data['PesterStandInOutcome']
            $state.Outcome = if ($given) { $given } else { 'Failed' }
            $state.Message = if ($given) { $_.Exception.Message } else { Get-Failure -Record $_ }
        }
        finally {
            for ($i = $blocks.Count - 1; $i -ge 0; $i--) {
                if (-not $blocks[$i].AfterEach) { continue }
                try {
                    do { $null = . $blocks[$i].AfterEach } while ($false)
                }
                catch {
                    $state.Outcome = 'Failed'
                    $state.Message = ($state.Message, (Get-Failure -Record $_ -During 'AfterEach') -ne '') -join "`n"
                }
            }
        }
    }

    Write-Result -Item $Item -Outcome $state.Outcome -Message $state.Message -Duration $clock.Elapsed
}

function Invoke-Block {
    <#
    .SYNOPSIS
    Runs the tests of a block in a scope that has the variables of its BeforeAll.
    #>
    [CmdletBinding()]
    param([hashtable] $Block)

    $tests = @(Get-Test $Block)
    if ($tests.Count -eq 0) { return }

    # Where all is skipped the set-up is skipped too: it may need what the tests are skipped for.
    $needed = @(foreach ($test in $tests) { if (-not (Get-SkipReason $test)) { $test } }).Count -gt 0
    & $script:Run.NewScope {
        $files = Get-DriveContent
        $failure = $null
        try {
            Import-Data $Block
            if ($needed -and $Block.BeforeAll) { do { $null = . $Block.BeforeAll } while ($false) }
        }
        catch {
            $failure = $_
        }

        $results = @(
            if ($null -ne $failure) {
                $message = Get-Failure -Record $failure -During "BeforeAll of '$($Block.Name)'"
                foreach ($test in $tests) {
                    $reason = Get-SkipReason $test
                    if ($reason) { Write-Result -Item $test -Outcome 'Skipped' -Message $reason }
                    else { Write-Result -Item $test -Outcome 'Failed' -Message $message }
                }
            }
            else {
                foreach ($child in $Block.Children) {
                    if ($child.Kind -ne 'It') { Invoke-Block $child }
                    elseif (Test-Wanted $child) { Invoke-Test $child }
                }
            }
        )
        if ($needed -and $Block.AfterAll) {
            try {
                do { $null = . $Block.AfterAll } while ($false)
            }
            catch {
                # Like Pester, which fails the block: what was not cleaned up is no success of its last test.
                $message = Get-Failure -Record $_ -During "AfterAll of '$($Block.Name)'"
                $results[-1].Outcome = 'Failed'
                $results[-1].Message = ($results[-1].Message, $message -ne '') -join "`n"
                $Host.UI.WriteErrorLine("[-] $message")
            }
        }

        Clear-DriveContent -Keep $files
        $results
    }
}

function Get-DriveContent {
    <#
    .SYNOPSIS
    Lists what is in the test drive.
    #>
    [CmdletBinding()]
    param()

    , [System.IO.Directory]::GetFileSystemEntries($script:Run.Drive, '*', 'AllDirectories')
}

function Clear-DriveContent {
    <#
    .SYNOPSIS
    Removes from the test drive what a block left there.
    #>
    [CmdletBinding()]
    param([string[]] $Keep)

    foreach ($path in (Get-DriveContent)) {
        if ($path -in $Keep) { continue }
        if ([System.IO.File]::Exists($path)) { [System.IO.File]::Delete($path) }
        elseif ([System.IO.Directory]::Exists($path)) { [System.IO.Directory]::Delete($path, $true) }
    }
}

function Invoke-PesterStandIn {
    <#
    .SYNOPSIS
    Discovers the tests of a file and runs them; writes a result for each.
    .PARAMETER NewScope
    The block { & $args[0] } of the session state in which the tests are to run.
    .PARAMETER SkipTag
    Tags whose tests are skipped, each with the reason.
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory)] [string] $Path,
        [Parameter(Mandatory)] [scriptblock] $NewScope,
        [Parameter(Mandatory)] [System.Management.Automation.SessionState] $SessionState,
        [string[]] $Tag,
        [string[]] $ExcludeTag,
        [hashtable] $SkipTag = @{},
        [switch] $Discover
    )

    $root = Get-NewBlock -Name ''
    $drive = [System.IO.Directory]::CreateTempSubdirectory('TestDrive').FullName
    $script:Run = @{
        Path = $Path; NewScope = $NewScope; SessionState = $SessionState; Current = $root; Drive = $drive
        Tag = $Tag; ExcludeTag = $ExcludeTag; SkipTag = $SkipTag
    }
    try {
        try {
            & $NewScope $Path
        }
        catch {
            $failed = @{ Parent = $null; Name = [System.IO.Path]::GetFileName($Path); Line = $_.InvocationInfo.ScriptLineNumber }
            return Write-Result -Item $failed -Outcome 'DiscoveryFailed' -Message (Get-Failure -Record $_ -During 'Discovery')
        }

        $script:Run.Current = $null
        if ($Discover) {
            foreach ($test in (Get-Test $root)) { Write-Result -Item $test -Outcome 'Discovered' }
            return
        }

        $provider = $SessionState.Provider.GetOne('FileSystem')
        $info = [System.Management.Automation.PSDriveInfo]::new('TestDrive', $provider, $drive, 'the files of a test', $null)
        $null = $SessionState.Drive.New($info, 'Global')
        try {
            & $NewScope {
                $SessionState.PSVariable.Set('TestDrive', $drive)
                Invoke-Block $root
            }
        }
        finally {
            $SessionState.Drive.Remove('TestDrive', $true, 'Global')
        }
    }
    finally {
        [System.IO.Directory]::Delete($drive, $true)
        $script:Run = $null
    }
}

Export-ModuleMember -Function Describe, Context, It, BeforeAll, AfterAll, BeforeEach, AfterEach, BeforeDiscovery, Should, Set-ItResult,
Invoke-PesterStandIn
